"""Llama, Qwen2, Qwen3 from Hub folders and GGUF: the numbers of transformers, or refused by name.

Pitfall 37: a part of a file that nobody used.
"""

import json
import os

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tinykd.lm import generate, load, load_gguf, load_safetensors, save
from tinykd.lm.weights.hub import read_config

pytestmark = pytest.mark.slow

os.environ["HF_HUB_OFFLINE"] = "1"
transformers = pytest.importorskip("transformers")
gguf = pytest.importorskip("gguf")

VOCAB, WIDTH, HEADS = 40, 32, 4
LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64, "rope_theta": 100.0,
}  # fmt: skip
LINEAR = {"rope_type": "linear", "factor": 3.0, "rope_theta": 100.0}
FAMILIES = {
    "llama": ("llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}),
    "llama, linear": ("llama", {"rope_parameters": LINEAR, "tie_word_embeddings": True}),
    "llama 3.1": ("llama", {"rope_parameters": LLAMA3, "head_dim": 16}),
    "llama, biases": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "qwen2": ("qwen2", {"num_key_value_heads": 1}),
    "qwen2, tied": ("qwen2", {"tie_word_embeddings": True}),
    "qwen3": ("qwen3", {"head_dim": 16}),
    "qwen3, tied": ("qwen3", {"head_dim": 128, "tie_word_embeddings": True}),
    "qwen3, biases": ("qwen3", {"head_dim": 16, "attention_bias": True}),
}
families = pytest.mark.parametrize("family", FAMILIES)


def theirs(family="llama", seed=0, **more):
    """A model of transformers with random weights: its norms and biases too."""
    torch.manual_seed(seed)
    kind, shape = FAMILIES[family]
    config = transformers.AutoConfig.for_model(
        kind,
        **{
            "vocab_size": VOCAB, "hidden_size": WIDTH, "intermediate_size": 64,
            "num_hidden_layers": 2, "num_attention_heads": HEADS, "num_key_value_heads": 2,
            "initializer_range": 0.2, "rms_norm_eps": 1e-4, "max_position_embeddings": 128,
            **shape, **more,
        },
    )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1:
                p.add_(0.3 * torch.randn_like(p))
            elif name.endswith(("q_proj.weight", "k_proj.weight")):
                p.mul_(2)  # attention that is far from even: positions matter
    return model


def same_logits(ours, model, tokens=None):
    ids = torch.randint(VOCAB, (3, 60), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, :9] = mask[2, 50:] = 0
    with torch.no_grad():
        found, wanted = ours(ids, mask), model(ids, attention_mask=mask).logits
    wanted = wanted[..., :tokens]
    torch.testing.assert_close(found[mask > 0], wanted[mask > 0], rtol=0, atol=1e-4)
    assert wanted.std() > 0.1


def same_text(ours, model):
    """Greedy, padded on the left."""
    prompts = [[5, 6, 7, 8], [9], [11, 3]]
    ids = torch.tensor([[0] * (4 - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (4 - len(p)) + [1] * len(p) for p in prompts])
    wanted = model.generate(
        ids, attention_mask=mask, max_new_tokens=16, min_new_tokens=16, do_sample=False,
        eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    found = generate(ours, prompts, 16, 0, progress=False)
    assert found == wanted[:, 4:].tolist()
    assert len({token for text in found for token in text}) > 4


def changed(folder, **settings):
    """The folder, with other settings in its config.json; None takes one out."""
    path = folder / "config.json"
    said = json.loads(path.read_text()) | settings
    path.write_text(json.dumps({name: value for name, value in said.items() if value is not None}))
    return folder


def rewritten(folder, **tensors):
    """The folder, with these tensors put into its model.safetensors; None takes one out."""
    path = folder / "model.safetensors"
    state = load_file(path) | {name.replace("__", "."): value for name, value in tensors.items()}
    save_file({k: v.clone() for k, v in state.items() if v is not None}, path)
    return folder


@pytest.fixture
def folder(tmp_path):
    theirs().save_pretrained(tmp_path)
    return tmp_path


# From the Hub


@families
def test_a_hub_folder_has_the_logits_and_the_text_of_transformers(tmp_path, family):
    model = theirs(family)
    model.save_pretrained(tmp_path / "whole")
    model.save_pretrained(tmp_path / "sharded", max_shard_size="20KB")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 2
    ours = load_safetensors(tmp_path / "whole")
    same_logits(ours, model)
    same_text(ours, model)
    assert ours.config.tied == bool(model.config.tie_word_embeddings)
    other = load_safetensors(tmp_path / "sharded")
    for (name, a), b in zip(ours.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    save(ours, tmp_path / "own")
    again = load(tmp_path / "own")
    assert again.config == ours.config
    same_logits(again, model)


@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama, biases"])
def test_the_gradients_are_those_of_transformers(tmp_path, family):
    model = theirs(family)
    model.save_pretrained(tmp_path)
    ours = load_safetensors(tmp_path)
    ids = torch.randint(VOCAB, (2, 20))
    for logits in (ours(ids), model(ids).logits):
        (logits.square() * torch.arange(VOCAB)).mean().backward()
    pairs = {
        "attention.query": "self_attn.q_proj", "attention.key": "self_attn.k_proj",
        "attention.value": "self_attn.v_proj", "attention.output": "self_attn.o_proj",
        "feed_forward.gate": "mlp.gate_proj", "feed_forward.up": "mlp.up_proj",
        "feed_forward.down": "mlp.down_proj", "attention.query_norm": "self_attn.q_norm",
        "attention.key_norm": "self_attn.k_norm",
    }  # fmt: skip
    compared = 0
    for mine, name in pairs.items():
        for n in range(2):
            a = dict(ours.blocks[n].get_submodule(mine).named_parameters())
            try:
                b = dict(model.model.layers[n].get_submodule(name).named_parameters())
            except AttributeError:
                b = {}
            assert a.keys() == b.keys()
            for kind in a:
                scale = b[kind].grad.abs().max().item()
                # A bias of the keys adds the same to all scores of a query: no gradient but noise.
                assert scale > (0 if (mine, kind) == ("attention.key", "bias") else 1e-6)
                torch.testing.assert_close(
                    a[kind].grad, b[kind].grad, rtol=0, atol=1e-4 * max(1, scale)
                )
                compared += 1
    assert compared == 2 * {"qwen2": 10, "qwen3": 9, "llama, biases": 14}[family]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"type": "linear", "factor": 3.0}, LINEAR),
        ({"rope_type": "linear", "factor": 3.0}, LINEAR),
        ({"type": "linear", "rope_type": "linear", "factor": 3.0}, LINEAR),
        ({k: v for k, v in LLAMA3.items() if k != "rope_theta"}, LLAMA3),
    ],
)
def test_both_spellings_of_a_rope_scaling(tmp_path, old, new):
    """What transformers 4 wrote and what 5 writes; both at once are read where they agree."""
    model = theirs("llama 3.1", rope_parameters=new)
    model.save_pretrained(tmp_path)
    factors = load_safetensors(tmp_path).config.rope_factors
    assert max(factors) == pytest.approx(new["factor"])
    changed(tmp_path, rope_scaling=old, rope_theta=100.0)
    assert load_safetensors(tmp_path).config.rope_factors == factors
    changed(tmp_path, rope_parameters=None)
    ours = load_safetensors(tmp_path)
    assert (ours.config.rope_factors, ours.config.rope_base) == (factors, 100.0)
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    same_logits(ours, model)
    same_logits(ours, again)


UNKNOWN = [
    ("llama", {"hidden_act": "gelu"}, "hidden_act = 'gelu'"),
    ("llama", {"quantization_config": {"bits": 4, "quant_method": "gptq"}}, "quantization_config"),
    ("llama", {"rope_scaling": {"type": "yarn", "factor": 4.0}}, "rope_scaling: type 'yarn'"),
    ("llama", {"rope_scaling": {"rope_type": "dynamic", "factor": 4.0}}, "type 'dynamic'"),
    ("llama", {"rope_parameters": {"rope_type": "yarn"}}, "rope_parameters: type 'yarn'"),
    ("llama", {"rope_parameters": LINEAR | {"mscale": 2.0}}, "mscale = 2.0"),
    ("llama", {"rope_parameters": {"rope_type": "linear"}}, "factor must be a number"),
    ("llama", {"rope_scaling": {"type": "linear", "factor": 2.0}}, "differ"),
    ("llama", {"rope_scaling": {"type": "linear", "rope_type": "llama3"}}, "'linear, llama3'"),
    ("llama", {"rope_theta": 77.0}, "rope_theta 500.0, but outside 77.0"),
    ("llama", {"partial_rotary_factor": 0.5}, "partial_rotary_factor = 0.5"),
    ("llama", {"sliding_window": 4096}, "sliding_window = 4096"),
    ("llama", {"is_causal": False}, "is_causal = False"),
    ("llama", {"logits_scaling": 8.0}, "logits_scaling = 8.0"),
    ("llama", {"architectures": ["LlamaForSequenceClassification"]}, "architectures = "),
    ("llama", {"num_hidden_layers": None}, "num_hidden_layers must be a number"),
    ("llama", {"num_hidden_layers": 2.5}, "num_hidden_layers must be a whole number"),
    ("qwen2", {"use_sliding_window": True}, "use_sliding_window = True"),
    ("qwen2", {"layer_types": ["full_attention", "sliding_attention"]}, "layer_types = "),
    ("qwen2", {"attention_bias": True}, "attention_bias = True"),
    ("qwen3", {"mlp_bias": True}, "mlp_bias = True"),
    ("qwen3", {"model_type": "mistral"}, "holds a 'mistral'"),
]


@pytest.mark.parametrize(("family", "settings", "name"), UNKNOWN)
def test_a_setting_that_is_not_understood_is_refused_by_name(tmp_path, family, settings, name):
    theirs(family).save_pretrained(tmp_path)
    load_safetensors(tmp_path)
    with pytest.raises(ValueError, match=name):
        load_safetensors(changed(tmp_path, **settings))


def test_what_is_switched_off_or_metadata_is_not_refused(folder):
    changed(
        folder, logits_scaling=0.0, use_mrope=False, pretraining_tp=2, torch_dtype="bfloat16",
        partial_rotary_factor=1.0, hidden_act="swish", _name_or_path="x", unsloth_fixed=True,
    )  # fmt: skip
    same_logits(load_safetensors(folder), theirs())
    changed(folder, logits_scaling=8.0, rope_theta=500.0)
    same_logits(load_safetensors(folder, ignore=["logits_*"]), theirs())


# As published, but for values that do not matter here.
PUBLISHED = {
    "DeepSeek-R1-Distill-Qwen-1.5B": (
        '{"architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643,'
        '"eos_token_id": 151643, "hidden_act": "silu", "hidden_size": 1536, "initializer_range": '
        '0.02, "intermediate_size": 8960, "max_position_embeddings": 131072, "max_window_layers": '
        '21, "model_type": "qwen2", "num_attention_heads": 12, "num_hidden_layers": 28, '
        '"num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 10000, "sliding_window": '
        '4096, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "transformers_version": '
        '"4.44.0", "use_cache": true, "use_mrope": false, "use_sliding_window": false, '
        '"vocab_size": 151936}'
    ),
    "DeepSeek-R1-Distill-Llama-8B": (
        '{"architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": '
        '0.0, "bos_token_id": 128000, "eos_token_id": 128001, "hidden_act": "silu", "hidden_size":'
        '4096, "initializer_range": 0.02, "intermediate_size": 14336, "max_position_embeddings": '
        '131072, "mlp_bias": false, "model_type": "llama", "num_attention_heads": 32, '
        '"num_hidden_layers": 32, "num_key_value_heads": 8, "pretraining_tp": 1, "rms_norm_eps": '
        '1e-05, "rope_scaling": {"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, '
        '"original_max_position_embeddings": 8192, "rope_type": "llama3"}, "rope_theta": 500000.0,'
        '"tie_word_embeddings": false, "torch_dtype": "bfloat16", "transformers_version": '
        '"4.43.0.dev0", "use_cache": true, "vocab_size": 128256}'
    ),
    "SmolLM2-135M-Instruct": (
        '{"architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": '
        '0.0, "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 576, '
        '"initializer_range": 0.041666666666666664, "intermediate_size": 1536, "is_llama_config": '
        'true, "max_position_embeddings": 8192, "mlp_bias": false, "model_type": "llama", '
        '"num_attention_heads": 9, "num_hidden_layers": 30, "num_key_value_heads": 3, '
        '"pad_token_id": 2, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_interleaved": false,'
        '"rope_scaling": null, "rope_theta": 100000, "tie_word_embeddings": true, "torch_dtype": '
        '"bfloat16", "transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16"}}, '
        '"transformers_version": "4.42.3", "use_cache": true, "vocab_size": 49152}'
    ),
    "Qwen3-0.6B": (
        '{"architectures": ["Qwen3ForCausalLM"], "attention_bias": false, "attention_dropout": '
        '0.0, "bos_token_id": 151643, "eos_token_id": 151645, "head_dim": 128, "hidden_act": '
        '"silu", "hidden_size": 1024, "initializer_range": 0.02, "intermediate_size": 3072, '
        '"max_position_embeddings": 40960, "max_window_layers": 28, "model_type": "qwen3", '
        '"num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8, '
        '"rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 1000000, "sliding_window": '
        'null, "tie_word_embeddings": true, "torch_dtype": "bfloat16", "transformers_version": '
        '"4.51.0", "use_cache": true, "use_sliding_window": false, "vocab_size": 151936}'
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_settings_of_published_models_are_understood(tmp_path, name):
    path = tmp_path / "config.json"
    path.write_text(PUBLISHED[name])
    config, wanted = read_config(path), transformers.AutoConfig.from_pretrained(tmp_path)
    assert config.width == wanted.hidden_size
    assert config.rope_base == wanted.rope_parameters["rope_theta"]
    assert config.kv_heads == wanted.num_key_value_heads
    assert config.tied == wanted.tie_word_embeddings
    size = getattr(wanted, "head_dim", wanted.hidden_size // wanted.num_attention_heads)
    assert config.head_size == size
    assert ("query" in config.biases) == ("Qwen-1.5B" in name)
    assert config.qk_norm == name.startswith("Qwen3")
    if "Llama" in name:
        make = transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS["llama3"]
        slow = make(wanted, "cpu")[0]
        fast = 500_000.0 ** (-torch.arange(0, 128, 2) / 128)
        torch.testing.assert_close(torch.tensor(config.rope_factors), fast / slow)
    else:
        assert config.rope_factors is None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("model.layers.1.self_attn.q_proj.bias", torch.zeros(32), "q_proj.bias"),
        ("model.layers.1.mlp.down_proj.lora_A", torch.zeros(2, 3), "down_proj.lora_A"),
        ("score.weight", torch.zeros(2, 32), "score.weight"),
        ("model.layers.2.input_layernorm.weight", torch.ones(32), "layers.2.input_layernorm"),
        ("model.norm.weight", None, "no tensor model.norm.weight"),
        ("lm_head.weight", None, "no tensor lm_head.weight"),
        ("model.norm.weight", torch.ones(31), r"norm.weight has shape \(31,\).*\(32,\)"),
        ("model.layers.0.mlp.up_proj.weight", torch.ones(64, 32).to(torch.int8), "quantised.*int8"),
        ("model.norm.weight", torch.ones(32).to(torch.float8_e4m3fn), "quantised.*float8"),
        ("model.layers.0.mlp.up_proj.weight_scale", torch.ones(64), "up_proj.weight_scale"),
    ],
)
def test_a_tensor_that_is_not_understood_is_refused_by_name(folder, name, value, words):
    rewritten(folder, **{name.replace(".", "__"): value})
    with pytest.raises(ValueError, match=words):
        load_safetensors(folder)


def test_tensors_without_a_say_are_passed_over(folder):
    frequencies = torch.ones(4)
    rewritten(folder, model__layers__0__self_attn__rotary_emb__inv_freq=frequencies)
    same_logits(load_safetensors(folder), theirs())
    rewritten(folder, extra__weight=frequencies)
    same_logits(load_safetensors(folder, ignore=["extra.*"]), theirs())


def test_shards_that_the_index_does_not_name_are_stale(tmp_path):
    old = theirs(seed=1)
    old.save_pretrained(tmp_path, max_shard_size="6KB")
    stale = {path.name: path.read_bytes() for path in tmp_path.glob("*.safetensors")}
    model = theirs()
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    fresh = {path.name for path in tmp_path.glob("*.safetensors")}
    for name in stale.keys() - fresh:
        (tmp_path / name).write_bytes(stale[name])
    assert stale.keys() - fresh
    same_logits(load_safetensors(tmp_path), model)


def test_one_file_counts_and_not_the_shards_beside_it(folder):
    theirs(seed=1).save_pretrained(folder / "other")
    (folder / "other" / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    same_logits(load_safetensors(folder), theirs())


def test_shards_are_all_there_or_the_folder_is_refused(tmp_path):
    theirs().save_pretrained(tmp_path, max_shard_size="20KB")
    index = tmp_path / "model.safetensors.index.json"
    said = json.loads(index.read_text())
    files = sorted(set(said["weight_map"].values()))
    load_safetensors(tmp_path)

    state = load_file(tmp_path / files[0])
    (tmp_path / files[0]).unlink()
    with pytest.raises(FileNotFoundError, match=f"lacks {files[0]}"):
        load_safetensors(tmp_path)
    gone, *rest = sorted(state)
    save_file({name: state[name] for name in rest}, tmp_path / files[0])
    with pytest.raises(ValueError, match=f"{files[0]} lacks {gone}"):
        load_safetensors(tmp_path)
    save_file(state | {"model.norm.weight": torch.ones(WIDTH)}, tmp_path / files[0])
    with pytest.raises(ValueError, match=r"model\.norm\.weight is in two files"):
        load_safetensors(tmp_path)
    save_file(state | {"extra.weight": torch.ones(WIDTH)}, tmp_path / files[0])
    with pytest.raises(ValueError, match="extra.weight"):
        load_safetensors(tmp_path)

    save_file(state, tmp_path / files[0])
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="model.safetensors and an index of other files"):
        load_safetensors(tmp_path)
    index.unlink()
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="no model.safetensors.index.json"):
        load_safetensors(tmp_path)


@pytest.mark.parametrize("trained", [True, False])
def test_a_head_that_is_declared_tied_but_was_trained(tmp_path, trained):
    """transformers takes both where they differ; so do we, and our own file keeps it."""
    model = theirs("qwen2, tied")
    model.save_pretrained(tmp_path)
    head = model.model.embed_tokens.weight.detach() + 0.1 * trained
    rewritten(tmp_path, lm_head__weight=head)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    ours = load_safetensors(tmp_path)
    same_logits(ours, model)
    assert ours.config.tied == (not trained)
    save(ours, tmp_path / "own")
    same_logits(load(tmp_path / "own"), model)


def test_ties_that_are_not_declared_are_none(tmp_path):
    """None of the three families is tied by default."""
    theirs("qwen2, tied").save_pretrained(tmp_path)
    changed(tmp_path, tie_word_embeddings=None)
    with pytest.raises(ValueError, match="no tensor lm_head.weight"):
        load_safetensors(tmp_path)


def test_a_folder_may_be_written_anew_while_its_model_is_in_use(folder):
    ours, before = load_safetensors(folder), theirs()
    with (folder / "model.safetensors").open("r+b") as file:
        file.write(b"\0" * (folder / "model.safetensors").stat().st_size)
    same_logits(ours, before)


# Padded vocabularies, pitfall 44


def write_tokenizer(folder, words=30):
    from tokenizers import Tokenizer, models

    tokens = Tokenizer(models.WordLevel({f"w{n}": n for n in range(words)}, unk_token="w0"))
    tokens.add_special_tokens(["<|end|>", "<|pad|>"])
    tokens.save(str(folder / "tokenizer.json"))


def test_rows_beyond_the_tokenizer_have_no_logits(folder):
    model = theirs()
    write_tokenizer(folder)
    ours = load_safetensors(folder)
    assert (ours.config.tokens, ours.config.vocab) == (32, VOCAB)
    same_logits(ours, model, 32)
    same_logits(load_safetensors(folder, tokens=20), model, 20)
    teacher, ids = theirs(), torch.arange(32)[None]
    teacher.resize_token_embeddings(32)  # the way to say it to transformers
    torch.testing.assert_close(ours(ids), teacher(ids).logits, rtol=0, atol=1e-4)
    write_tokenizer(folder, 60)  # and ids beyond the rows have none either
    same_logits(load_safetensors(folder), model)
    with pytest.raises(ValueError, match="tokens 41"):
        load_safetensors(folder, tokens=41)


# GGUF


def neighbours(weight, heads):
    """Rows as GGUF's llama has them: of one head, i and i + d/2 stand side by side."""
    half = len(weight) // heads // 2
    order = [h * 2 * half + i + side * half for h in range(heads) for i in range(half)
             for side in (0, 1)]  # fmt: skip
    return weight[order]


def write_gguf(path, model, settings=None, tensors=None, quantise=None):
    """What llama.cpp's converter writes: names from the package gguf, rows of a llama turned."""
    config, kind = model.config, model.config.model_type
    writer = gguf.GGUFWriter(path, kind)
    writer.add_name("a model")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    size = getattr(config, "head_dim", config.hidden_size // config.num_attention_heads)
    if kind == "llama":
        writer.add_vocab_size(config.vocab_size)
        writer.add_rope_dimension_count(size)
    if size != config.hidden_size // config.num_attention_heads:
        writer.add_key_length(size)
        writer.add_value_length(size)
    rope = config.rope_parameters["rope_type"]
    if rope == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(config.rope_parameters["factor"])
    for name, value in (settings or {}).items():
        add = {str: writer.add_string, bool: writer.add_bool, int: writer.add_uint32,
               float: writer.add_float32, list: writer.add_array}[type(value)]  # fmt: skip
        add(name, value)
    names = gguf.get_tensor_name_map(
        getattr(gguf.MODEL_ARCH, kind.upper()), config.num_hidden_layers
    )
    state = {names.get_name(k, (".weight", ".bias")): v for k, v in model.state_dict().items()}
    if config.tie_word_embeddings:
        del state["output.weight"]
    if rope == "llama3":
        fast = config.rope_parameters["rope_theta"] ** (-torch.arange(0, size, 2) / size)
        state["rope_freqs.weight"] = fast / model.model.rotary_emb.inv_freq
    for name, value in (state | (tensors or {})).items():
        if kind == "llama" and (".attn_q." in name or ".attn_k." in name):
            q = ".attn_q." in name
            value = neighbours(
                value, config.num_attention_heads if q else config.num_key_value_heads
            )
        value = value if isinstance(value, np.ndarray) else value.detach().numpy()
        if quantise is not None and value.ndim == 2 and value.shape[1] % 32 == 0:
            codes = gguf.quantize(value, quantise)
            writer.add_tensor(name, codes, raw_dtype=quantise)
        else:
            writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def read_back(path):
    model = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    )
    return model.eval()


@families
def test_a_gguf_file_has_the_logits_and_the_text_of_transformers(tmp_path, family):
    model = theirs(family)
    ours = load_gguf(write_gguf(tmp_path / "m.gguf", model))
    same_logits(ours, model)
    same_text(ours, model)
    assert ours.config.tied == bool(model.config.tie_word_embeddings)
    save(ours, tmp_path / "own")
    assert load(tmp_path / "own").config == ours.config
    model.save_pretrained(tmp_path)
    assert_same_config(load_safetensors(tmp_path).config, ours.config)


def assert_same_config(a, b):
    for name, value in vars(a).items():
        other = getattr(b, name)
        if name == "rope_factors" and value:
            assert other == pytest.approx(value, rel=1e-5)
        elif isinstance(value, float):
            assert other == pytest.approx(value)
        else:
            assert other == value, name


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen2, tied", "qwen3, tied"])
@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0", "Q4_0", "Q5_1"])
def test_a_quantised_gguf_file_has_the_logits_of_transformers(tmp_path, family, kind):
    quantise = getattr(gguf.GGMLQuantizationType, kind)
    model = theirs(family)
    sizes = {} if family == "llama" else {f"{model.config.model_type}.vocab_size": VOCAB}
    path = write_gguf(tmp_path / "m.gguf", model, sizes, quantise=quantise)
    same_logits(load_gguf(path), read_back(path))


def test_eight_bits_are_codes_times_a_scale_of_each_block_of_32(tmp_path):
    model = theirs("qwen2")
    path = write_gguf(tmp_path / "m.gguf", model, quantise=gguf.GGMLQuantizationType.Q8_0)
    rows = model.model.layers[0].mlp.up_proj.weight.detach().view(64, -1, 32)
    scale = rows.abs().amax(-1, keepdim=True) / 127
    wanted = (rows / scale).round() * scale.half().float()
    found = load_gguf(path).blocks[0].feed_forward.up.weight
    torch.testing.assert_close(found, wanted.view(64, WIDTH))


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3, tied"])
@pytest.mark.parametrize(
    ("settings", "tensors", "words"),
    [
        ({"{}.rope.scaling.type": "yarn", "{}.rope.scaling.factor": 4.0}, {}, "type 'yarn'"),
        ({"{}.rope.scaling.attn_factor": 1.5}, {}, "rope.scaling.attn_factor = 1.5"),
        ({"{}.attention.sliding_window": 512}, {}, "attention.sliding_window = 512"),
        ({"{}.attention.scale": 0.5}, {}, "attention.scale = 0.5"),
        ({"{}.attention.causal": False}, {}, "attention.causal = False"),
        ({"{}.pooling_type": 1}, {}, "pooling_type = 1"),
        ({"{}.expert_count": 8}, {}, "expert_count = 8"),
        ({"{}.attention.value_length": 6}, {}, "attention.value_length = 6"),
        ({"general.type": "adapter"}, {}, "general.type = 'adapter'"),
        ({"split.count": 2}, {}, "split.count = 2"),
        ({}, {"blk.0.attn_norm.bias": torch.ones(WIDTH)}, "blk.0.attn_norm.bias"),
        ({}, {"blk.1.ffn_gate.scale": torch.ones(1)}, "blk.1.ffn_gate.scale"),
        ({}, {"output_norm.weight": torch.ones(31)}, r"output_norm.weight has shape \(31,\)"),
        ({}, {"output_norm.weight": np.ones(WIDTH, np.int8)}, "output_norm.weight is of type I8"),
    ],
)
def test_a_gguf_file_that_is_not_understood_is_refused_by_name(
    tmp_path, family, settings, tensors, words
):
    model = theirs(family)
    settings = {name.format(model.config.model_type): value for name, value in settings.items()}
    path = write_gguf(tmp_path / "m.gguf", model, settings, tensors)
    with pytest.raises(ValueError, match=words):
        load_gguf(path)


def test_other_gguf_files_are_refused(tmp_path):
    model = theirs("qwen2")
    path = write_gguf(tmp_path / "m.gguf", model, {"qwen2.rope.dimension_count": 4})
    with pytest.raises(ValueError, match="rope.dimension_count = 4"):
        load_gguf(path)
    path = write_gguf(tmp_path / "lists.gguf", model, {"qwen2.attention.head_count": [4, 4]})
    with pytest.raises(ValueError, match=r"head_count must be a number above 0, got \[4, 4\]"):
        load_gguf(path)


def test_what_says_nothing_new_is_not_refused(tmp_path):
    model = theirs()
    settings = {
        "llama.rope.scaling.type": "none", "llama.rope.scaling.factor": 4.0,
        "llama.rope.scaling.original_context_length": 64, "llama.expert_count": 0,
        "llama.tensor_data_layout": "Meta AI original pth", "general.type": "model",
    }  # fmt: skip
    old = {"blk.0.attn_rot_embd.weight": torch.ones(4), "extra": torch.ones(3)}
    path = write_gguf(tmp_path / "m.gguf", model, settings, old)
    same_logits(load_gguf(path, ignore=["extra"]), model)


@pytest.mark.parametrize("name", ["rope.scaling.factor", "rope.scale_linear"])
def test_a_factor_without_a_type_is_linear(tmp_path, name):
    """As llama.cpp reads it; older files call it scale_linear."""
    plain = {"rope_type": "default", "rope_theta": 100.0}
    model = theirs("llama, linear", rope_parameters=plain)
    path = write_gguf(tmp_path / "m.gguf", model, {f"llama.{name}": 3.0})
    same_logits(load_gguf(path), theirs("llama, linear"))


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_rows_that_a_gguf_file_marks_as_unused_have_no_logits(tmp_path, family):
    model, kinds = theirs(family), [1] * 30 + [3, 5, 3] + [5] * 7
    path = write_gguf(tmp_path / "m.gguf", model, {"tokenizer.ggml.token_type": kinds})
    ours = load_gguf(path)
    assert (ours.config.tokens, ours.config.vocab) == (33, VOCAB)
    same_logits(ours, model, 33)
    same_logits(load_gguf(path, tokens=VOCAB), model)
