"""Synthesis of training images from label maps, network training and evaluation."""
