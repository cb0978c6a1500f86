"""Loads the cases of the Autobahn test suite, which are written for Python 2, into Python 3.

Bytes are `str` there. Here they are `str`, too, in Latin-1: one character for each byte. Literals, `chr`, lengths and
comparisons then mean the same, and only the edge to the network has to convert. So the sources are read as Latin-1,
and what Python 3 spells differently is replaced.
"""
import binascii
import importlib.abc
import importlib.util
import re
import sys
import types
from pathlib import Path

from autobahn.websocket.utf8validator import Utf8Validator

PACKAGE = "autobahncases"

REPLACED = [
    # Imports of neighbours.
    (r"(?m)^from (case\w*) import", r"from .\1 import"),
    # One case is switched off in the suite and cannot be loaded.
    (r"(?m)^from \.case9_9_1 import .*$", ""),
    (r"(?m)^(\s*)print\b.*$", r"\1pass"),
    (r"\bxrange\b", "range"),
    (r"\bunichr\b", "chr"),
    (r"\(object, Case, \)", "(Case, )"),
    (r" / self\.p\.autoFragmentSize", " // self.p.autoFragmentSize"),
    # Names that autobahn has changed since.
    (r"\brequestNoContextTakeover\b", "request_no_context_takeover"),
    (r"\brequestMaxWindowBits\b", "request_max_window_bits"),
    # What takes bytes.
    (r"\bbinascii\b", "binascii_of_text"),
    (r"\bautobahn\.websocket\.utf8validator\b", "validator_of_text"),
    (r"\bpkg_resources\b", "resources_of_suite"),
]


def latin(data):
    """Bytes as the cases know them."""
    return bytes(data).decode("latin-1")


def raw(text):
    """What the cases call a string, as bytes."""
    return text if isinstance(text, bytes) else text.encode("latin-1")


class Validator(Utf8Validator):
    def validate(self, text):
        return super().validate(raw(text))


class Loader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, folder):
        self.folder = folder

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] != PACKAGE:
            return None
        return importlib.util.spec_from_loader(name, self, is_package=name == PACKAGE)

    def exec_module(self, module):
        name = module.__name__.partition(".")[2] or "__init__"
        file = self.folder / f"{name}.py"
        text = file.read_bytes().decode("latin-1")
        for pattern, by in REPLACED:
            text = re.sub(pattern, by, text)
        exec(compile(text, str(file), "exec"), module.__dict__)


def load(suite):
    """The package of the cases below the folder of the suite's sources."""
    shim = types.ModuleType("binascii_of_text")
    shim.b2a_hex = shim.hexlify = lambda data: binascii.b2a_hex(raw(data)).decode()
    sys.modules[shim.__name__] = shim
    shim = types.ModuleType("validator_of_text")
    shim.Utf8Validator = Validator
    sys.modules[shim.__name__] = shim
    shim = types.ModuleType("resources_of_suite")
    shim.resource_filename = lambda package, name: str(suite / package / name)
    sys.modules[shim.__name__] = shim
    sys.meta_path.insert(0, Loader(Path(suite) / "autobahntestsuite" / "case"))
    cases = importlib.import_module(PACKAGE)
    # The suite compares pickles, which depend on which objects are the same.
    sys.modules[f"{PACKAGE}.case"].Case.compare = lambda self, one, other: one == other
    return cases
