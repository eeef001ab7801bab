"""YAML that is not what it looks like is refused, in one line that names the file and its line."""

import pytest

from ansatz.errors import UserError
from ansatz.workflow.configuration.strict_yaml import check_yaml
from real_data import ROOT

LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{key}: &{key} [{', '.join([f'*{before}'] * 9)}]\n" for before, key in zip("abcdefgh", "bcdefghi", strict=True)
)
MISTAKES = {
    "a key twice": ("a: 1\nb: {c: 1,\n    'c': 2}", "line 3: the key 'c' is already on line 2; keep one of them"),
    "merged twice": ("a: &a {x: 1}\nb:\n  <<: *a\n  <<: *a", "line 4: the key '<<' is already on line 3"),
    "octal": ("threads: 010", "line 1: 010 would be read as 8; write a plain number, true or false, or put text into"),
    "minutes": ("a:\n  - 1:30", "line 2: 1:30 would be read as 90; write"),
    "underscores": ("a: 1_000", "line 1: 1_000 would be read as 1000; write"),
    "a yes": ("a: yes", "line 1: yes would be read as true; write"),
    "a key that is false": ("no: 1", "line 1: no would be read as false; write"),
    "a date": ("name: 2024-01-01", "line 1: 2024-01-01 would be read as a timestamp; write"),
    "an alias in itself": ("a: &a {b: *a}", "nested too deeply, or an alias contains itself"),
    "aliases that explode": (LAUGHS, "with its aliases, it holds more than 100000 values"),
    "a tab": ("a:\n\t- b", "line 2: not YAML; found character '\\t' that cannot start any token"),
    "an unprintable character": ("a: \x01", "not YAML; unacceptable character #x0001"),
    "no number": ("threads: 0x_", "line 1: 0x_ is no int; put text into quotes"),
    "code": ("__use_yte__: true\nthreads: ?1", "line 1: __use_yte__ would run code of this file; remove it"),
    "a list for a key": ("? [1, 2]\n: 3", "line 1: a key is a list or a mapping; keys are text"),
    "nothing to merge": ("a: 1\n<<: 5", "line 2: << takes the keys of a mapping, not 5"),
    "a foreign tag": ("a: !foo {b: 1}", "line 1: the tag !foo is not used here; remove it"),
    "an unknown anchor": ("a: *b", "line 1: not YAML; found undefined alias 'b'"),
    "UTF-16": ("a: 1".encode("utf-16"), "line 1: not UTF-8; save the file in this encoding"),
    "Latin-1": ("a: 1\nb: caf\xe9".encode("latin-1"), "line 2: not UTF-8; save the file in this encoding"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_refused(tmp_path, mistake):
    content, line = MISTAKES[mistake]
    path = tmp_path / "config.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        check_yaml(path)
    assert str(caught.value).startswith(str(path))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: [1, -2, 0, 0x1F, 1.5, 1.0e-3, .5, -.inf, true, null, ~, text, '010', 'yes', 1e3, '1:30', cuda:0]",
        "a: &a {x: 1}\nb: {<<: *a, x: 2}\nc: *a",
        '{"a": 1, "b": ["x", 1.5]}',
        "\ufeffa: 1",
    ],
)
def test_plain_yaml_passes(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    check_yaml(tmp_path / "config.yaml")


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.stem)
def test_our_configurations_pass(path):
    check_yaml(path)
