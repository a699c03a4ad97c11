"""The hub through its own clients: what they are asked, and how they fail."""

from __future__ import annotations

import time
import types

import datasets
import huggingface_hub
import pytest

from photonjax.data import FetchError, fetch, hub, load_corpus


@pytest.fixture
def answering(monkeypatch):
    """A hub that answers."""
    monkeypatch.setattr(hub, "_silence", lambda: None)


def test_hub_names_reach_load_dataset(monkeypatch, cache, answering):
    asked = []
    rows = datasets.Dataset.from_dict({"text": ["a", ""], "n": [1, 2]})

    def answer(path, name, *, split, cache_dir):
        asked.append((path, name, split, cache_dir))
        return rows if split else datasets.DatasetDict(train=rows, test=rows)

    monkeypatch.setattr(datasets, "load_dataset", answer)
    corpus = load_corpus("hub:Salesforce/wikitext:wikitext-2-raw-v1:test")
    assert corpus.to_list() == [{"text": "a"}, {"text": ""}]
    load_corpus("hub:a/b::validation")
    load_corpus("hub:b", split="train")
    place = str(cache / "datasets")
    assert asked == [
        ("Salesforce/wikitext", "wikitext-2-raw-v1", "test", place),
        ("a/b", None, "validation", place),
        ("b", None, "train", place),
    ]
    with pytest.raises(ValueError, match="has the splits train, test: name one, as in hub:b::"):
        load_corpus("hub:b")


def test_what_the_hub_refuses_is_one_line(monkeypatch, cache, answering):
    def fail(*args, **kwargs):
        try:
            raise OSError("name or service\nnot known")
        except OSError as error:
            raise ConnectionError("Couldn't reach it") from error

    bars = datasets.are_progress_bars_disabled()
    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(FetchError) as caught:
        load_corpus("hub:a/b", progress=False)
    assert "\n" not in str(caught.value)
    for part in ("hub:a/b", "name or service not known", "go online", "packaged corpus"):
        assert part in str(caught.value)
    assert datasets.are_progress_bars_disabled() == bars


@pytest.mark.parametrize(
    "ask",
    [
        lambda: load_corpus("hub:a/b:c:test"),
        lambda: load_corpus("wikitext-2"),
        lambda: fetch("hub:a/b"),
        lambda: fetch("hub:a/b@main:c.gguf"),
    ],
    ids=["dataset", "corpus", "model", "file"],
)
def test_without_a_network_the_error_comes_at_once(
    ask, tmp_path, cache, monkeypatch, no_hub, capfd
):
    """The real clients, which by themselves try for 23 seconds."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    start = time.monotonic()
    with pytest.raises(FetchError, match="the hub does not answer .*; go online") as caught:
        ask()
    assert time.monotonic() - start < 10
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert not huggingface_hub.constants.HF_HUB_OFFLINE and not datasets.config.HF_HUB_OFFLINE


def test_without_a_network_the_hubs_cache_still_serves(tmp_path, monkeypatch, no_hub):
    revision = "0" * 40
    folder = tmp_path / "models--a--b"
    (folder / "snapshots" / revision).mkdir(parents=True)
    (folder / "snapshots" / revision / "config.json").write_text("{}")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(revision)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert fetch("hub:a/b:config.json").read_text() == "{}"
    assert fetch("hub:a/b").name == revision


def test_a_model_is_its_weights_configuration_and_tokenizer(tmp_path, monkeypatch, answering):
    asked = {}

    def snapshot_download(repository, **options):
        asked.update(options, repository=repository)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert fetch("hub:Qwen/Qwen3-0.6B@v1") == tmp_path
    assert asked["repository"] == "Qwen/Qwen3-0.6B" and asked["revision"] == "v1"
    assert "*.safetensors" in asked["allow_patterns"] and "*.bin" not in asked["allow_patterns"]


def test_a_file_with_another_checksum_is_not_even_downloaded(tmp_path, monkeypatch, answering):
    def metadata(url, timeout):
        assert url.endswith("/a/b/resolve/v1/c.gguf")
        return types.SimpleNamespace(etag="1" * 64)

    def hf_hub_download(repository, file, *, revision, local_dir):
        (local_dir / file).write_text(f"{repository} {revision}")
        return str(local_dir / file)

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", metadata)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hf_hub_download)
    got = hub.verified("a/b@v1:c.gguf", "1" * 64, tmp_path, progress=False)
    assert got.read_text() == "a/b v1"
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", None)
    with pytest.raises(FetchError, match=f"its file is another one \\(sha256 {'1' * 64}"):
        hub.verified("a/b@v1:c.gguf", "2" * 64, tmp_path, progress=False)


@pytest.mark.parametrize("place", ["", "a/b:", "a/b@", "@v1", "a/b@:c"])
def test_malformed_places(place):
    with pytest.raises(ValueError, match="not of the form hub:OWNER/REPOSITORY"):
        hub.split_place(place)
