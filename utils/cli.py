"""What every script does: quiet TensorFlow, and one line and exit code 2 for bad input."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib.util
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

VERSION = "1.0.0"  # CHANGELOG.md says what is in it
BACKENDS = ("tensorflow", "jax", "torch")


def quiet_tensorflow() -> None:
    """Silence TensorFlow's start-up chatter; call before anything imports it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    warnings.filterwarnings("ignore", module="keras|tensorflow|jax")


@contextlib.contextmanager
def muted_stderr() -> Iterator[None]:
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


def check_backend() -> str:
    """Return the backend that Keras will use.

    Raises:
        ValueError: KERAS_BACKEND or keras.json names one that is unknown or not installed.
    """
    config = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "keras.json"
    place, name = "KERAS_BACKEND", os.environ.get("KERAS_BACKEND")
    if not name:
        place, name = str(config), "tensorflow"
        with contextlib.suppress(OSError, ValueError, AttributeError):
            name = json.loads(config.read_text()).get("backend", name)
    if name not in BACKENDS or importlib.util.find_spec(name) is None:
        why = "which is not installed" if name in BACKENDS else "which there is not"
        rule = f"must name an installed backend ({', '.join(BACKENDS)})"
        raise ValueError(f"{place}: {rule}, got {name!r}, {why}")
    return name


def import_keras() -> Any:
    """Return the keras module, imported without chatter; errors still raise.

    What keras.json says of shapes and precision does not apply to networks with weights: it is
    overridden, and said.

    Raises:
        ValueError: see `check_backend`.
    """
    check_backend()
    with muted_stderr():
        import keras

        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            tf.config.list_physical_devices()  # the first look at the devices logs, too
            tf.get_logger().setLevel("ERROR")  # sequences differ in length: retracing is expected
    for name, needed in (("image_data_format", "channels_last"), ("floatx", "float32")):
        if (value := getattr(keras.config, name)()) != needed:
            getattr(keras.config, f"set_{name}")(needed)
            note(f"keras.json says {name} {value}: {needed} is used, the networks are made so")
    return keras


def say(text: str) -> None:
    """Print what a run makes."""
    print(text, flush=True)


def note(text: str) -> None:
    """Say what was dropped, guessed or overridden: one line."""
    say(f"note: {' '.join(text.split())}")


def counted(number: int, noun: str) -> str:
    """Return a number and a noun: 1 sequence, 2 sequences."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def warn(text: str) -> None:
    """Say what is probably wrong: one line on stderr."""
    print(f"warning: {' '.join(text.split())}", file=sys.stderr)


class Help(argparse.HelpFormatter):
    """Shows the default of a flag, where it has one and the text does not say it."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help or ""
        if action.default in (None, [], False, argparse.SUPPRESS) or "default" in text:
            return text
        return text if action.const is not None else f"{text} (default: %(default)s)"


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, and which proposes the nearest flag.

    Attributes:
        gone: {flag of an earlier version: what to type instead}.
    """

    gone: Mapping[str, str] = {}

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **{"formatter_class": Help, **more})
        text = f"usc-mots {VERSION}"
        self.add_argument("--version", action="version", version=text, help="print the version")

    def parse_args(  # type: ignore[override]  # it fills no other namespace
        self, args: Sequence[str] | None = None, namespace: None = None
    ) -> argparse.Namespace:
        """Return the parsed arguments; a flag that there is not ends the program, see `error`."""
        parsed, unknown = self.parse_known_args(args, namespace)
        for flag in (text.partition("=")[0] for text in unknown):
            if flag in self.gone:
                self.error(f"{flag} is gone: use {self.gone[flag]}")
            near = difflib.get_close_matches(flag, self._option_string_actions, 1)
            self.error(f"no such argument: {flag}" + (f", did you mean {near[0]}?" if near else ""))
        return parsed

    def error(self, message: str) -> NoReturn:
        """Print the error and where help is, exit with 2."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def positive(text: str) -> int:
    """Return a positive integer from the command line."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10**9):
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {text!r}")
    return int(text)


def frame_size(text: str) -> tuple[int, int]:
    """Return (height, width) of HxW from the command line."""
    height, _, width = text.lower().partition("x")
    try:
        return positive(height), positive(width)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"must be HxW as in 480x640, got {text!r}") from None


def run(main: Callable[[], None]) -> None:
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
