"""What every script does: quiet TensorFlow, and one line and exit code 2 for bad input."""

import argparse
import contextlib
import os
import sys
import warnings


def quiet_tensorflow():
    """Silence TensorFlow's start-up chatter; call before anything imports it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    warnings.filterwarnings("ignore", module="keras|tensorflow|jax")


@contextlib.contextmanager
def muted_stderr():
    """Send file descriptor 2 to nowhere: TensorFlow's C++ start-up logs heed no setting."""
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def import_keras():
    """Return the keras module, imported without chatter; errors still raise."""
    with muted_stderr():
        import keras

        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            tf.config.list_physical_devices()  # the first look at the devices logs, too
            tf.get_logger().setLevel("ERROR")  # sequences differ in length: retracing is expected
    return keras


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line."""

    def error(self, message):
        """Print the error and where help is, exit with 2."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def positive(text):
    """Return a positive integer from the command line."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10**9):
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {text!r}")
    return int(text)


def run(main):
    """Call `main()`; turn bad input into one line on stderr and exit code 2."""
    quiet_tensorflow()
    try:
        main()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except (ValueError, OSError) as error:
        text = str(error)
        if isinstance(error, OSError) and error.filename:
            text = f"{error.filename}: {error.strerror}"
        print(" ".join(text.split()), file=sys.stderr)
        sys.exit(2)
