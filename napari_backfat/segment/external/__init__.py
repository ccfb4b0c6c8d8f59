"""Models made elsewhere: folders of weights that a person brings along."""
