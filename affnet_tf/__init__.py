"""AffectiveNet: affective-motion imaging and micro-expression recognition in Keras."""
