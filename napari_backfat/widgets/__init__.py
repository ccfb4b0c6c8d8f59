"""The window's parts. The only package that imports qtpy, superqt and magicgui."""
