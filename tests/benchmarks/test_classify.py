"""The table of benchmarks.classify, over a few passages."""

import json
import subprocess
import sys

import pytest

ROWS = [
    (["ceasefire"], "The two armies agreed to a ceasefire that takes effect at midnight."),
    (["territory"], "Government troops captured the border town and control both river banks."),
    (["sanctions"], "The European Union imposed new sanctions on banks and froze assets."),
    (["nato"], "NATO allies pledged at the summit to raise their defence spending."),
    ([], "Bake the bread for forty minutes, then let it cool on a wire rack."),
]


@pytest.fixture
def files(tmp_path):
    """A mix and a labelled file; a German passage in each is to be left out."""
    rows = [{"text": text, "topics": topics, "lang": "en"} for topics, text in ROWS]
    rows.append({"text": "Die Armeen haben sich geeinigt.", "topics": [], "lang": "de"})
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return ["--mix", str(path), "--labelled", str(path)]


def test_the_table_has_a_row_a_way(files):
    command = [sys.executable, "-m", "benchmarks.classify", *files, "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "5 passages of the mix, 100.0% reach the encoder, " in done.stdout
    assert "5 labelled passages" in done.stdout
    rows = {line[:38].strip(): line[38:].split() for line in done.stdout.splitlines()[3:]}
    assert rows.pop("way")[-1] == "cheaper"
    ours, whole = rows["ours"], rows["the encoder on all, its own"]
    assert float(ours[1]) == float(whole[1]) > 0.9
    assert float(rows["keyword list"][0]) < float(ours[0])
    assert whole[2] == "1.0"
    hf = [name for name in rows if name.startswith("Hugging Face")]
    assert len(hf) in (0, 2)
    assert hf or "torch is not installed" in done.stderr


def test_a_model_that_cannot_be_used_is_one_line(files, tmp_path):
    command = [sys.executable, "-m", "benchmarks.classify", *files, "--model", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"model: {tmp_path}/heads.json: file is missing\n"
