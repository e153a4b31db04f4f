"""AffectiveNet: affective-motion imaging and micro-expression recognition in Keras."""

__version__ = "0.1.0"
