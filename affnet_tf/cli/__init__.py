"""The command line: one command is one call of a function that lives elsewhere."""

from affnet_tf.cli import data, deployment, experiments
from affnet_tf.command import app, main

__all__ = ["app", "data", "deployment", "experiments", "main"]
