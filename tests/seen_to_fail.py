"""Every bug the tests are there for, put into a copy of tinykd: its test must fail.

    python tests/seen_to_fail.py [part of a bug's name]

Each bug is one replaced string. For each a copy of the package is patched, and the tests named for
the bug run against the copy in a forked child; a bug whose tests pass is reported, exit status 1.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent / "tinykd"

# (pitfall and bug, file, what is right, what is wrong, FILE: NAME of the tests that must see it)
BUGS = [
    ("1 mean over classes", "softmax.py",
     "0.0)).sum(-1)",
     "0.0)).mean(-1)",
     "losses: explicit_sum"),
    ("1 smoothing averages wrongly", "losses.py",
     "/ allowed.sum(-1)",
     "",
     "losses: that_of_torch"),
    ("1 loss is a sum over the batch", "step.py",
     "weights / counts.clamp_min(1)",
     "weights",
     "objective: the_batch_gradient_is_the_mean_over_positions"),
    ("2 batchmean", "step.py",
     "for batch in group]).sum(0)",
     "for batch in group]).sum(0).clamp(max=float(group[0]['labels'].shape[0]))",
     "objective: folding_time_into_the_batch_changes_nothing"),
    ("3 T squared forgotten", "losses.py",
     "return T**2 * _kl(log_p, log_q)",
     "return _kl(log_p, log_q)",
     "losses: the_gradient_does_not_fade_with_the_temperature and forward"),
    ("3 T squared on one path only", "losses.py",
     "return T**2 * (beta *",
     "return (beta *",
     "losses: the_gradient_does_not_fade_with_the_temperature"),
    ("3 T instead of T squared", "losses.py",
     "return T**2 * _kl(log_p, log_q)",
     "return T * _kl(log_p, log_q)",
     "losses: at_high_temperature_it_is_logit_matching"),
    ("3 temperature on the hard labels", "objective.py",
     "cross_entropy(out.student, labels",
     "cross_entropy(out.student / 4, labels",
     "trainer: textbook"),
    ("3 not continuous in alpha", "step.py",
     "torch.tensor(objective.weights_at(progress))",
     "(1 + 0.3 * (len(objective.terms) > 1)) * torch.tensor(objective.weights_at(progress))",
     "objective: the_loss_is_continuous_as_alpha_goes_to_zero"),
    ("4 teacher entropy dropped", "losses.py",
     "expectation(log_a, log_a.masked_fill(ruled_out, 0.0) - ",
     "expectation(log_a, -",
     "losses: zero_where_student_equals_teacher"),
    ("4 mixture nearly zero", "losses.py",
     "torch.where(gap < 0, below, above)",
     "(torch.where(gap < 0, below, above) + 1e-7)",
     "losses: zero_where_student_equals_teacher"),
    ("5 KL the wrong way round", "losses.py",
     "return T**2 * _kl(log_p, log_q)",
     "return T**2 * _kl(log_q, log_p)",
     "losses: explicit_sum and forward"),
    ("5 mixture weights swapped", "losses.py",
     "_kl_to_mixture(log_p, log_q, beta), _kl_to_mixture(log_q, log_p, 1 - beta)",
     "_kl_to_mixture(log_p, log_q, 1 - beta), _kl_to_mixture(log_q, log_p, beta)",
     "losses: explicit_sum"),
    ("5 ends of beta swapped", "losses.py",
     "if beta == 0 else",
     "if beta == 1 else",
     "losses: generalised_jsd_ends_are_the_two_kl"),
    ("6 log of p plus eps", "softmax.py",
     "return torch.log_softmax(at_least_float32(logits) / T, dim)",
     "return torch.log(torch.softmax(at_least_float32(logits) / T, dim) + 1e-8)",
     "losses: finite_for_huge_logits_that_disagree_completely"),
    ("6 log of a mixture of probabilities", "losses.py",
     "    gap = (log_b - log_a)",
     ("    p, q = log_a.exp(), log_b.exp()\n"
      "    return expectation(log_a, log_a - (share * p + (1 - share) * q).log())\n"
      "    gap = (log_b - log_a)"),
     "losses:"),
    ("7 differentiable target", "losses.py",
     "log_softmax(teacher.detach().to(dtype), T)",
     "log_softmax(teacher.to(dtype), T)",
     "losses: the_teacher_is_a_constant"),
    ("7 nan_to_num after the fact", "losses.py",
     "    gap = (log_b - log_a)",
     ("    q, p = log_b.exp(), log_a.exp()\n"
      "    return torch.nan_to_num(p * (p / (share * p + (1 - share) * q)).log()).sum(-1)\n"
      "    gap = (log_b - log_a)"),
     "losses: gradients_are_always_finite_and_values_never_negative"),
    ("8 masked class in the smoothing", "losses.py",
     "allowed = log_q > -math.inf",
     "allowed = torch.ones_like(log_q, dtype=torch.bool)",
     "losses: deleted"),
    ("8 zero times infinity", "softmax.py",
     "values.masked_fill(p == 0, 0.0)",
     "values",
     "softmax: a_masked_class_counts_as_deleted_in_the_entropy"),
    ("9 computed in half precision", "softmax.py",
     "else x.float()",
     "else x",
     "losses: half_precision_in_float32_precision_out"),
    ("10 teacher compared with itself", "objective.py",
     "self.divergence(out.student, out.teacher",
     "self.divergence(out.teacher, out.teacher",
     "objective: soft_targets_use_the_teacher_and_one_temperature"),
    ("10 softmax twice", "losses.py",
     "log_softmax(student.to(dtype), T)",
     "log_softmax(log_softmax(student.to(dtype), T).exp(), T)",
     "losses: explicit_sum"),
    ("10 temperature on one side", "losses.py",
     "log_softmax(student.to(dtype), T)",
     "log_softmax(student.to(dtype), 1.0)",
     "objective: soft_targets_use_the_teacher_and_one_temperature"),
    ("11 decoupled by log of one minus p", "losses.py",
     "log_rest = rest.logsumexp(-1, keepdim=True)",
     "log_rest = (1 - log_prob.masked_fill(~true, -math.inf).exp().sum(-1, keepdim=True)).log()",
     "losses: finite_for_huge_logits_that_disagree_completely and decoupled"),
    ("11 others not renormalised", "losses.py",
     "torch.log_softmax(rest, -1)",
     "rest",
     "losses: decoupled_identity"),
    ("12 masked positions in the mean", "objective.py",
     'return batch["mask"].bool()',
     'return torch.ones_like(batch["mask"], dtype=torch.bool)',
     "objective: masked_and_ignored_positions_count_neither_in_sum_nor_in_number"),
    ("15 averages of averages", "step.py",
     "        sums += batch_sums.detach()",
     ("        own = objective.counts(batch).clamp_min(1)\n"
      "        scale = scale * counts.clamp_min(1) / own / len(group)\n"
      "        sums += batch_sums.detach()"),
     "objective: a_step_does_not_depend_on_how_it_was_cut"),
    ("18 teacher in train mode", "models.py",
     "    model.eval()\n",
     "",
     "teacher: the_teacher_is_neither_trained_nor_disturbed"),
    ("18 teacher receives gradients", "models.py",
     "with torch.no_grad():",
     "with torch.enable_grad():",
     "teacher: the_teacher_is_neither_trained_nor_disturbed"),
    ("19 student left in eval mode", "models.py",
     "            module.training = mode",
     "            pass",
     "trainer: the_student_trains_in_train_mode_on_every_step"),
    ("20 hooks outlive the block", "hooks.py",
     "self._hooks.pop().remove()",
     "self._hooks.pop()",
     "hooks: nothing_outlives_the_block"),
    ("20 activations outlive the block", "hooks.py",
     "        self._outputs.clear()\n",
     "",
     "hooks: nothing_outlives_the_block"),
    ("20 features kept from step to step", "step.py",
     "        out = Outputs(",
     "        self.last = layers\n        out = Outputs(",
     "hooks: kept_alive"),
    ("21 the wrapped module's inside is called", "trainer.py",
     "backward(self._parallel,",
     "backward(self.net,",
     "distributed:"),
    ("21 mean over processes", "step.py",
     "scale = world * weights",
     "scale = weights",
     "distributed:"),
    ("22 regressors missing from the optimizer", "step.py",
     "for name, p in net.named_parameters() if p.requires_grad",
     "for name, p in net.model.named_parameters() if p.requires_grad",
     "trainer: every_trainable_parameter_gets_a_gradient_and_moves"),
    ("22 regressors missing from the clipping", "trainer.py",
     "clip_grad_norm_(self.net.",
     "clip_grad_norm_(self.model.",
     "trainer: clipping_counts_the_regressors"),
    ("22 regressors missing from the checkpoint", "checkpoint.py",
     '"net": trainer.net',
     '"net": trainer.model',
     "resume: stopped_at_any_step_and_resumed_it_is_the_same_run and bf16"),
    ("22 optimizer not checked", "step.py",
     "    if missing:",
     "    if False:",
     "trainer: an_optimizer_that_misses_parameters_is_refused"),
    ("23 cache read in the order of the batches", "teacher.py",
     "np.asarray(self.logits[index])",
     "np.asarray(self.logits[: len(index)])",
     "teacher: cached_rows_follow_their_sample_through_any_shuffle"),
    ("23 any teacher will do", "teacher.py",
     "if given is not None and",
     "if False and",
     "teacher: a_cache_of_another_teacher_or_other_data_is_refused"),
    ("23 an old stamp vouches for new logits", "teacher.py",
     '        path.with_suffix(".json").unlink(missing_ok=True)\n',
     "",
     "teacher: a_write_that_stops_halfway_never_vouches_for_a_mixture"),
    ("24 coupled terms accepted", "trainer.py",
     "        if coupled and",
     "        if False and",
     "trainer: terms_that_couple_samples_are_refused_where_the_batch_is_cut"),
    ("25 dice not restored", "checkpoint.py",
     '    torch.set_rng_state(state["torch"])\n',
     "",
     "resume: stopped_at_any_step_and_resumed_it_is_the_same_run"),
    ("25 dice restored once too often", "trainer.py",
     "if dice is not None and self.batch:",
     "if dice is not None:",
     "resume: stopped_at_any_step_and_resumed_it_is_the_same_run and shuffling"),
    ("25 sampler position lost", "trainer.py",
     "        for _ in range(self.batch):\n            next(stream)\n",
     "",
     "resume: stopped_at_any_step_and_resumed_it_is_the_same_run"),
    ("25 generator of the sampler lost", "checkpoint.py",
     'getattr(batches, "sampler", None))',
     "None)",
     "resume: stopped_at_any_step_and_resumed_it_is_the_same_run and sampler"),
    ("25 momentum lost", "checkpoint.py",
     '"optimizer": trainer.optimizer, ',
     "",
     "resume: stopped_at_any_step_and_resumed_it_is_the_same_run and momentum"),
    ("25 schedule starts anew", "checkpoint.py",
     '*("step", "epoch", ',
     '*("epoch", ',
     "resume: stopped_at_any_step_and_resumed_it_is_the_same_run and bf16"),
    ("25 checkpoint written in place", "checkpoint.py",
     'part = path.with_name(f".{path.name}.{os.getpid()}.part")',
     "part = path",
     "trainer: a_full_disk_keeps_the_old_checkpoint"),
    ("26 gradients into a peer's targets", "losses.py",
     "teacher.detach().to(dtype)",
     "teacher.to(dtype)",
     "losses: the_teacher_is_a_constant"),
    ("26 a live peer's targets carry a graph", "models.py",
     "with torch.no_grad():",
     "with torch.enable_grad():",
     "teacher: disturbed"),
    ("23 cached rows for augmented inputs", "teacher.py",
     'if batch.get("augmented"):',
     "if False:",
     "teacher: not_for_augmented_inputs"),
    ("27 item on every step", "history.py",
     "        self.sums += sums\n",
     "        self.sums += sums\n        self.latest = sums[0].item()\n",
     "trainer: the_step_never_synchronises"),
    ("27 the index goes to the device and back", "device.py",
     'v if k == "index" else moved(v, device)',
     "moved(v, device)",
     "trainer: the_step_never_synchronises"),
    ("27 labels are looked at on the device", "losses.py",
     "if labels.is_cuda or labels.is_meta:",
     "if False:",
     "trainer: the_step_never_synchronises"),
    ("12 padding seen by an encoder", "lm/transformer.py",
     "(within & real[:, None, None]) | every.tril(before).triu(before)",
     "(within & real[:, None, None]) | every.triu(before)",
     "lm_transformer: a_classifier_does_not_feel_padding"),
    ("12 padding in the mean of a classifier", "lm/transformer.py",
     "(x * real).sum(1) / real.sum(1).clamp_min(1)",
     "x.mean(1)",
     "lm_transformer: a_classifier_does_not_feel_padding"),
    ("12 soft targets on the prompt", "lm/batches.py",
     ', "mask": labels != IGNORE}',
     "}",
     "lm_batches: only_positions_that_predict_an_answer_have_a_gradient"),
    ("13 labels not shifted", "lm/batches.py",
     "torch.cat([input_ids[:, 1:], input_ids.new_full((rows, 1), IGNORE)], 1)",
     "input_ids",
     "lm_batches: labels_are_the_next_tokens_of_the_answer"),
    ("13 the loss is on the prompt too", "lm/batches.py",
     "(following >= answer_start[:, None]) & (following",
     "(following",
     "lm_batches: only_positions_that_predict_an_answer_have_a_gradient"),
    ("13 the first token of the answer is missed", "lm/batches.py",
     "following >= answer_start[:, None]",
     "following > answer_start[:, None]",
     "lm_batches: only_positions_that_predict_an_answer_have_a_gradient"),
    ("14 padding told by its id", "lm/batches.py",
     "labels = shift_and_mask(ids, starts, lengths)",
     ("labels = shift_and_mask(ids, starts, lengths)\n"
      "        labels = labels.masked_fill(labels == self.pad, IGNORE)"),
     "lm_batches: pad_equal_to_eos"),
    ("14 every end is learned", "lm/batches.py",
     "& (following < lengths[:, None])",
     "& (following < size)",
     "lm_batches: pad_equal_to_eos"),
    ("lm cache one position off", "lm/transformer.py",
     "[:, before:end]",
     "[:, max(before - 1, 0) :][:, : input_ids.shape[1]]",
     "lm_transformer: a_cache_changes_nothing"),
    ("lm padding on the left is seen", "lm/transformer.py",
     "(within & real[:, None, None])",
     "within.expand(len(real), 1, -1, -1)",
     "lm_transformer: padding_on_either_side"),
    ("lm rotary on one side only", "lm/layers.py",
     "q, k = rotate(q, *turn), rotate(k, *turn)",
     "q = rotate(q, *turn)",
     "lm_transformer: captured_scores_are_the_scores"),
    ("lm key heads in the wrong order", "lm/layers.py",
     "x.repeat_interleave(self.heads // self.kv_heads, 1)",
     "x.repeat(1, self.heads // self.kv_heads, 1, 1)",
     "lm_generate: greedy_is_the_argmax_step_by_step"),
    ("lm prompts pasted one column off", "lm/layers.py",
     "columns = slice(self.length - other.length, self.length)",
     "columns = slice(self.length - other.length - 1, self.length - 1)",
     "lm_generate: greedy_is_the_argmax_step_by_step"),
    ("lm a row that ended goes on", "lm/generate.py",
     "            if on:\n                answers",
     "            if True:\n                answers",
     "lm_generate: eos or end"),
    ("lm nucleus one token short", "lm/generate.py",
     "ordered.cumsum(-1) - ordered >= top_p",
     "ordered.cumsum(-1) > top_p",
     "lm_generate: the_nucleus_is_the_smallest_set"),
    ("lm answers in the order of length", "lm/generate.py",
     "    return answers\n",
     "    return [answers[i] for i in order]\n",
     "lm_generate: greedy_is_the_argmax_step_by_step"),
    ("lm GGUF rows left as they are", "lm/weights.py",
     "return weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)",
     "return weight",
     "lm_weights: a_gguf_file_is_read_in_our_order"),
    ("lm LoRA scale forgotten", "lm/lora.py",
     "y if self.merged else y + self.scale * F.linear",
     "y if self.merged else y + F.linear",
     "lm_lora: the_gradient_is_that_of_the_written_out_weights"),
    ("lm LoRA subtracted instead of kept", "lm/lora.py",
     "self.linear.weight.copy_(self._before)",
     "self.linear.weight.sub_(self.scale * self.B @ self.A)",
     "lm_lora: merged_equals_unmerged_and_back_bit_for_bit"),
    ("lm LoRA trains what is frozen", "lm/lora.py",
     "    model.requires_grad_(False)\n",
     "",
     "lm_lora: only_adapters_train"),
    ("3 skew without T squared", "losses.py",
     "return T**2 * _kl_to_mixture(log_p, log_q, skew)",
     "return _kl_to_mixture(log_p, log_q, skew)",
     "losses: the_gradient_does_not_fade_with_the_temperature and skew"),
    ("5 skew mixes the wrong share", "losses.py",
     "_kl_to_mixture(log_p, log_q, skew)",
     "_kl_to_mixture(log_p, log_q, 1 - skew)",
     "losses: explicit_sum and skew"),
    ("5 skew reverse the wrong way round", "losses.py",
     "_kl_to_mixture(log_q, log_p, skew)",
     "_kl_to_mixture(log_p, log_q, skew)",
     "losses: explicit_sum and skew_reverse"),
    ("16 chunks: weight's gradient of the last chunk only", "lm/chunked.py",
     "to_weight.addmm_(to_logits.T, hidden[rows])",
     "to_weight = to_logits.T @ hidden[rows]",
     "lm_chunked: values_and_gradients_are_the_dense_ones"),
    ("16 chunks: all positions weigh alike", "lm/chunked.py",
     "slope[rows])  # (n, V)",
     "slope[:1].expand_as(values))",
     "lm_chunked: values_and_gradients_are_the_dense_ones"),
    ("16 chunks: the last, shorter one lost", "lm/chunked.py",
     "range(0, max(len(hidden), 1), size)",
     "range(0, len(hidden) // size * size, size)",
     "lm_chunked: values_and_gradients_are_the_dense_ones"),
    ("16 chunks: labels not cut with the logits", "lm/chunked.py",
     "else x[rows]",
     "else x[: rows.stop - rows.start][: len(x[rows])]",
     "lm_chunked: values_and_gradients_are_the_dense_ones"),
    ("12 chunks: mask forgotten", "lm/chunked.py",
     "each.masked_fill(~valid, 0.0).sum(0)",
     "each.sum(0)",
     "lm_chunked: topk_targets_and_masks"),
    ("17 tail forgotten", "lm/topk.py",
     "torch.cat([log_p.gather(-1, ids), tail], -1)",
     "torch.cat([log_p.gather(-1, ids), tail - 99], -1)",
     "lm_topk: explicit_sum"),
    ("17 top-k renormalised", "lm/topk.py",
     "return TopK(ids, _buckets(log_p, ids), T)",
     ("return TopK(ids, torch.cat([log_p.gather(-1, ids).log_softmax(-1), "
      "torch.full_like(log_p[..., :1], -math.inf)], -1), T)"),
     "lm_topk: zero_where_student_equals_teacher or never_above"),
    ("17 tail subtracted from 1", "lm/topk.py",
     ("tail = rest.masked_fill(empty, 0.0).logsumexp(-1, keepdim=True)"
      ".masked_fill(empty, -math.inf)"),
     "tail = (1 - log_p.gather(-1, ids).exp().sum(-1, keepdim=True)).log()",
     "lm_topk: a_tiny_tail"),
    ("17 half precision no longer adds up", "lm/topk.py",
     "return TopK(ids, torch.log_softmax(log_p, -1), self.T), {}",
     "return TopK(ids, log_p, self.T), {}",
     "lm_topk: rows_are_those_of_the_live_teacher"),
    ("23 top-k rows in the order of the cache", "lm/topk.py",
     "for i in samples]\n    return",
     "for i in sorted(samples)]\n    return",
     "lm_topk: rows_are_those_of_the_live_teacher"),
    ("23 top-k of another data set", "lm/topk.py",
     "if yours != self.stamp[what]:",
     "if what == 'teacher' and yours != self.stamp[what]:",
     "lm_topk: another_teacher_and_other_data"),
]  # fmt: skip


def patched(folder, file, right, wrong):
    """A copy of the package in which one string is replaced."""
    copy = folder / "tinykd"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("classroom", "__pycache__"))
    source = (copy / file).read_text()
    if right not in source:
        raise SystemExit(f"{file} no longer has {right!r}: bring tests/seen_to_fail.py up to date")
    (copy / file).write_text(source.replace(right, wrong))


def outcome(folder, tests, log):
    """Exit status of pytest over `tests` with the tinykd in `folder`, run in a forked child."""
    pid = os.fork()
    if pid == 0:
        import pytest

        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.path.insert(0, str(folder))
        os.environ["PYTHONPATH"] = str(folder)
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # nbval alone takes seconds to load
        file, _, names = tests.partition(":")
        where = [str(HERE / f"test_{file}.py"), "-k", names.strip()]
        options = ["-q", "-x", "-p", "no:cacheprovider", "--rootdir", str(HERE.parent), "--tb=line"]
        os._exit(int(pytest.main([*options, *where])))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(wanted):
    import hypothesis.strategies  # noqa: F401
    import pytest  # noqa: F401
    import torch  # before forking: children inherit what took seconds to import
    import torch.nn.parallel
    import torch.utils.data

    torch.set_num_threads(1)
    weight = torch.zeros(1, requires_grad=True)
    torch.optim.SGD([weight], 0.1).step()  # imports half of torch
    survivors = []
    bugs = [bug for bug in BUGS if wanted in bug[0]]
    for name, file, right, wrong, tests in bugs:
        with tempfile.TemporaryDirectory() as folder:
            patched(Path(folder), file, right, wrong)
            log = Path(folder) / "log"
            before = sum(os.times()[2:4])
            status = outcome(Path(folder), tests, log)
            words = log.read_text()
        seen = status == 1
        took = sum(os.times()[2:4]) - before
        print(f"{'seen' if seen else 'NOT SEEN':8}  {name}  ({tests})  {took:.1f} s", flush=True)
        if not seen:
            survivors.append(name)
            print(words)
    print(
        f"{len(bugs) - len(survivors)} of {len(bugs)} bugs seen, {sum(os.times()[:4]):.0f} s of CPU"
    )
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main("".join(sys.argv[1:2])))
