"""``python -m affnet_tf`` is ``affnet``."""

from affnet_tf.cli import main

if __name__ == "__main__":
    main()
