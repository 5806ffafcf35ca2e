"""Settings: the environment over the file, and one line that names what is wrong."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from webapp.config import OPTIONS, ConfigError, Settings, allowed_hosts, load_settings


def load(folder: Path, file: str = "", **environ: str) -> Settings:
    if file:
        (folder / "servicedesk.toml").write_text(file, encoding="utf-8")
    return load_settings(environ, instance=folder)


def refusal(folder: Path, file: str = "", **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, file, **environ)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


@pytest.mark.sqlite
def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert (settings.host, settings.port, settings.poll_interval) == ("127.0.0.1", 8080, 60)
    assert settings.database_url == f"sqlite:///{tmp_path}/servicedesk.db"
    assert settings.is_sqlite
    assert not settings.served_over_https


def test_every_option_is_a_setting_and_the_other_way_round(tmp_path: Path) -> None:
    assert {option.field for option in OPTIONS} | {"instance"} == set(Settings.__dataclass_fields__)


def test_the_environment_wins_over_the_file_and_the_command_line_over_both(tmp_path: Path) -> None:
    (tmp_path / "servicedesk.toml").write_text('port = 1001\nhost = "10.0.0.1"\n')
    environ = {"SERVICEDESK_PORT": "1002"}
    assert load_settings(environ, instance=tmp_path).port == 1002
    assert load_settings(environ, instance=tmp_path).host == "10.0.0.1"
    assert load_settings(environ, instance=tmp_path, port=1003).port == 1003


def test_the_file_takes_numbers_texts_and_lists(tmp_path: Path) -> None:
    settings = load(tmp_path, 'port = 81\nthreads = "4"\ntrusted_hosts = ["desk.test", "help.test"]\n')
    assert (settings.port, settings.threads) == (81, 4)
    assert settings.trusted_hosts == ("desk.test", "help.test")


@pytest.mark.parametrize("blank", ["", "  "])
def test_an_empty_value_is_not_set(tmp_path: Path, blank: str) -> None:
    file = f'public_url = "{blank}"\ntrusted_hosts = []\nhost = "{blank}"\n'
    settings = load(tmp_path, file, SERVICEDESK_PORT=blank, SERVICEDESK_DATABASE_URL=blank)
    assert (settings.host, settings.port, settings.public_url) == ("127.0.0.1", 8080, "")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("port", "0"),
        ("port", "65536"),
        ("port", "8o8o"),
        ("port", "-1"),
        ("port", "²"),
        ("port", "٣"),
        ("port", "80.0"),
        ("port", "9" * 5000),
        ("threads", "0"),
        ("threads", "65"),
        ("poll_interval", "4"),
        ("session_hours", "721"),
        ("max_message_mb", "151"),
        ("trusted_proxies", "ten"),
        ("log_level", "LOUD"),
        ("public_url", "desk.example.com"),
        ("public_url", "ftp://desk.example.com"),
        ("public_url", "https://desk.example.com/portal"),
        ("public_url", "https://desk.example.com?x=1"),
        ("public_url", "https://user:pass@desk.example.com"),
        ("public_url", "https://desk.example.com:99999"),
        ("public_url", "https://[nonsense"),
        ("public_url", "https://"),
        ("mail_ca_file", "/no/such/file.pem"),
        ("mail_ca_file", "/etc"),
        ("database_url", "mysql://desk"),
        ("database_url", "nonsense"),
        ("database_url", "sqlite:///relative.db"),
        ("database_url", "sqlite://"),
        ("database_url", "sqlite:///:memory:"),
        ("database_url", "sqlite:////tmp/x.db?mode=ro"),
        ("database_url", "postgresql+psycopg://desk:pass@host:port/desk"),
        ("host", "127.0.0.1\nX-Evil: 1"),
        ("trusted_hosts", "a\x00b"),
    ],
)
def test_a_bad_value_names_setting_and_source(tmp_path: Path, field: str, value: str) -> None:
    sentence = refusal(tmp_path, **{f"SERVICEDESK_{field.upper()}": value})
    assert sentence.startswith(f"Setting {field} from the environment (SERVICEDESK_{field.upper()}): ")
    assert len(sentence) < 400


def test_a_bad_value_in_the_file_names_the_file(tmp_path: Path) -> None:
    sentence = refusal(tmp_path, "port = 70000\n")
    assert sentence.startswith(f"Setting port from {tmp_path}/servicedesk.toml: ")
    assert "70000" in sentence


@pytest.mark.parametrize("value", ["true", "1.5", "{a = 1}", "2026-11-23", "[1, 2]"])
def test_a_value_of_another_kind_is_refused(tmp_path: Path, value: str) -> None:
    assert refusal(tmp_path, f"port = {value}\n").startswith("Setting port from ")


def test_a_database_password_is_in_no_message_and_no_repr(tmp_path: Path) -> None:
    told = {"SERVICEDESK_DATABASE_URL": "postgresql+psycopg://desk:canary-word@host:x/desk"}
    assert "canary-word" not in refusal(tmp_path, **told)
    settings = load(tmp_path, SERVICEDESK_DATABASE_URL="postgresql+psycopg://desk:canary-word@host/desk")
    assert not settings.is_sqlite
    assert "canary-word" not in repr(settings)


def test_an_unknown_setting_in_the_file_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    sentence = refusal(tmp_path, "prot = 80\n")
    assert "there is no setting 'prot'" in sentence
    assert "poll_interval" in sentence


@pytest.mark.parametrize("content", [b"port = ", b"port 80", b"\xff\xfe", b"[server]\nport = 80\n"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "servicedesk.toml").write_bytes(content)
    assert str(tmp_path / "servicedesk.toml") in refusal(tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "servicedesk.toml").mkdir()
    assert refusal(tmp_path) == f"{tmp_path}/servicedesk.toml cannot be read: Is a directory."


def test_the_instance_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "instance"
    assert load_settings({"SERVICEDESK_INSTANCE": str(folder)}).instance == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_an_instance_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in refusal(tmp_path / "file" / "instance")
    assert str(tmp_path / "file") in refusal(tmp_path / "file")


def test_an_instance_folder_that_cannot_be_written_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write anywhere, so the system's answer is made up here.
    monkeypatch.setattr("webapp.config.os.access", lambda *_: False)
    assert refusal(tmp_path) == f"The instance folder {tmp_path} cannot be written to by this user."


@pytest.mark.parametrize(
    ("public_url", "stored", "host"),
    [
        ("https://desk.example.com", "https://desk.example.com", "desk.example.com"),
        ("https://Desk.Example.com/", "https://desk.example.com", "desk.example.com"),
        ("http://desk.example.com:8443", "http://desk.example.com:8443", "desk.example.com"),
        ("http://[2001:db8::1]:8080", "http://[2001:db8::1]:8080", "[2001:db8::1]"),
    ],
)
def test_the_public_address_is_an_allowed_host(
    tmp_path: Path, public_url: str, stored: str, host: str
) -> None:
    settings = load(tmp_path, SERVICEDESK_PUBLIC_URL=public_url, SERVICEDESK_TRUSTED_HOSTS="a.test, b.test,")
    assert settings.public_url == stored
    assert settings.served_over_https == public_url.startswith("https:")
    assert allowed_hosts(settings) == ("localhost", "127.0.0.1", "[::1]", host, "a.test", "b.test")


def test_without_a_public_address_only_loopback_is_answered(tmp_path: Path) -> None:
    assert allowed_hosts(load(tmp_path)) == ("localhost", "127.0.0.1", "[::1]")


def test_the_ca_file_is_kept_with_its_full_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ca.pem").write_text("x")
    monkeypatch.chdir(tmp_path)
    assert load(tmp_path, SERVICEDESK_MAIL_CA_FILE="ca.pem").mail_ca_file == str(tmp_path / "ca.pem")
