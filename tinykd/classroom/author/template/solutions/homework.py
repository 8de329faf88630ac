# %% [markdown]
# # Homework: does the student listen?
#
# A student network has been distilled from a teacher. Two questions: how often do they give the same answer, and how far
# apart are their probabilities?
#
# Fill in the cells marked `YOUR CODE`; the cell below each says at once whether it is right. Only those cells are graded:
# keep what you need in them.

# %% role="setup" name="setup"
import matplotlib.pyplot as plt
import torch

import tinykd
from tinykd import plots
from tinykd.classroom import Checks, with_gradient

check = Checks("homework")


def two_networks(rng, samples, classes):
    """Logits (samples, classes) of a student that often agrees with its teacher; the teacher's."""
    teacher = torch.from_numpy(rng.normal(size=(samples, classes)))
    return teacher + 0.7 * torch.from_numpy(rng.normal(size=(samples, classes))), teacher


# %% [markdown]
# ## Exercise 1: agreement
#
# Both networks give **logits**, one row a sample and one column a class, and answer with the class whose logit is largest. Their
# **agreement** is the share of samples, between 0 and 1, for which they give the same answer, right or wrong.
#
# <details><summary>Hint</summary><code>x.argmax(-1)</code> is the column of the largest value in each row.</details>


# %% role="answer" name="agreement"
def agreement(student, teacher):
    """The share of samples, a float, for which two tensors of logits (B, C) give the same class."""
    # YOUR CODE: one line
    # BEGIN SOLUTION
    return (student.argmax(-1) == teacher.argmax(-1)).float().mean().item()
    # END SOLUTION


# %% role="check" name="agreement.share" points=1 hint="Compare the two networks' answers with each other, sample by sample, and take the mean."
student, teacher = two_networks(check.rng("agreement.share"), 50, 5)
check("agreement.share", check.call(agreement, student, teacher))

# %% role="hidden" name="agreement.other_sizes" points=2 hint="It must work for any number of samples and classes."
rng, found = check.rng("agreement.other_sizes"), []
for samples, classes in ((1, 3), (7, 2), (200, 30)):
    student, teacher = two_networks(rng, samples, classes)
    found.append(check.call(agreement, student, teacher))
check("agreement.other_sizes", found)


# %% role="mutant" of="agreement" name="agreement.count" loses="agreement.share, agreement.other_sizes" hint="You return how many samples agree. Divide by the number of samples: mean, not sum."
def agreement(student, teacher):
    return (student.argmax(-1) == teacher.argmax(-1)).sum().item()


# %% role="mutant" of="agreement" name="agreement.disagreement" loses="agreement.share, agreement.other_sizes" hint="You return the share of samples for which the answers differ."
def agreement(student, teacher):
    return (student.argmax(-1) != teacher.argmax(-1)).float().mean().item()


# %% role="mutant" of="agreement" name="agreement.over_samples" loses="agreement.share, agreement.other_sizes" hint="argmax(0) looks for the sample with the largest logit of each class. The classes are the last axis: argmax(-1)."
def agreement(student, teacher):
    return (student.argmax(0) == teacher.argmax(0)).float().mean().item()


# %% role="mutant" of="agreement" name="agreement.fifty" loses="agreement.other_sizes" hint="50 is fixed in your code: there may be any number of samples."
def agreement(student, teacher):
    return (student.argmax(-1) == teacher.argmax(-1)).sum().item() / 50


# %% role="alternative" of="agreement" name="agreement.by_hand"
def agreement(student, teacher):
    same = 0
    for ours, theirs in zip(student.tolist(), teacher.tolist(), strict=True):
        same += ours.index(max(ours)) == theirs.index(max(theirs))
    return same / len(student)


# %% [markdown]
# ## Exercise 2: the distillation loss
#
# With $p = \mathrm{softmax}(z^{\text{teacher}}/T)$ and $q = \mathrm{softmax}(z^{\text{student}}/T)$, Hinton, Vinyals and Dean (2015)
# train the student to minimise
#
# $$T^2 \sum_i p_i\,(\log p_i - \log q_i)$$
#
# Return it for every sample. The teacher is not trained: no gradient may reach its logits.
#
# <details><summary>Hint</summary><code>torch.log_softmax(z / T, -1)</code> gives log-probabilities without overflow, and
# <code>x.detach()</code> is <code>x</code> as a constant.</details>


# %% role="answer" name="distillation_loss" library="tinykd.forward_kl"
def distillation_loss(student, teacher, T):
    """T² KL(p ‖ q) in nats, one value a sample (B,), of logits (B, C)."""
    # YOUR CODE: three lines
    # BEGIN SOLUTION
    log_p = torch.log_softmax(teacher.detach() / T, -1)
    log_q = torch.log_softmax(student / T, -1)
    return T**2 * (log_p.exp() * (log_p - log_q)).sum(-1)
    # END SOLUTION


# %% role="check" name="distillation_loss.value" points=2 hint="Log-probabilities first, from logits that are divided by T; then the sum over the classes, times T²."
student, teacher = two_networks(check.rng("distillation_loss.value"), 6, 4)
check("distillation_loss.value", check.call(distillation_loss, student, teacher, 3.0))

# %% role="check" name="distillation_loss.gradient" points=2 hint="The gradient must reach the student's logits, and not the teacher's."
student, teacher = two_networks(check.rng("distillation_loss.gradient"), 6, 4)
student.requires_grad_(), teacher.requires_grad_()
loss = check.call(distillation_loss, student, teacher, 2.0)
check("distillation_loss.gradient", with_gradient(loss, student, teacher))

# %% role="hidden" name="distillation_loss.extreme" points=1 hint="It must be finite for logits of 1000 too: never take the logarithm of a probability."
student, teacher = two_networks(check.rng("distillation_loss.extreme"), 40, 8)
check("distillation_loss.extreme", check.call(distillation_loss, 400 * student, 400 * teacher, 1.5))


# %% role="mutant" of="distillation_loss" name="distillation_loss.no_square" loses="distillation_loss.value, distillation_loss.gradient, distillation_loss.extreme" hint="T² is missing: without it the gradients fade as T grows."
def distillation_loss(student, teacher, T):
    log_p = torch.log_softmax(teacher.detach() / T, -1)
    return (log_p.exp() * (log_p - torch.log_softmax(student / T, -1))).sum(-1)


# %% role="mutant" of="distillation_loss" name="distillation_loss.reverse" loses="distillation_loss.value, distillation_loss.gradient, distillation_loss.extreme" hint="That is the reverse KL, weighted with the student's probabilities. Weight with the teacher's, p."
def distillation_loss(student, teacher, T):
    log_p = torch.log_softmax(teacher.detach() / T, -1)
    log_q = torch.log_softmax(student / T, -1)
    return T**2 * (log_q.exp() * (log_q - log_p)).sum(-1)


# %% role="mutant" of="distillation_loss" name="distillation_loss.teacher_learns" loses="distillation_loss.gradient" hint="A gradient reaches the teacher's logits: detach them."
def distillation_loss(student, teacher, T):
    log_p = torch.log_softmax(teacher / T, -1)
    return T**2 * (log_p.exp() * (log_p - torch.log_softmax(student / T, -1))).sum(-1)


# %% role="mutant" of="distillation_loss" name="distillation_loss.mean" loses="distillation_loss.value, distillation_loss.gradient, distillation_loss.extreme" hint="You return the mean over the classes: C times too small. Sum over them."
def distillation_loss(student, teacher, T):
    log_p = torch.log_softmax(teacher.detach() / T, -1)
    return T**2 * (log_p.exp() * (log_p - torch.log_softmax(student / T, -1))).mean(-1)


# %% role="mutant" of="distillation_loss" name="distillation_loss.log_of_p" loses="distillation_loss.extreme" hint="A probability of exp(-1000) is 0 and its logarithm is -infinity. Use log_softmax."
def distillation_loss(student, teacher, T):
    p, q = torch.softmax(teacher.detach() / T, -1), torch.softmax(student / T, -1)
    return T**2 * (p * (p.log() - q.log())).sum(-1)


# %% role="alternative" of="distillation_loss" name="distillation_loss.by_torch"
def distillation_loss(student, teacher, T):
    log_p = torch.log_softmax(teacher.detach() / T, -1)
    log_q = torch.log_softmax(student / T, -1)
    return T**2 * torch.nn.functional.kl_div(log_q, log_p, reduction="none", log_target=True).sum(
        -1
    )


# %% [markdown]
# ## What you have built
#
# At high temperature your loss compares logits, at $T = 1$ probabilities. For a student and a teacher drawn at random:

# %% role="show" name="fig-temperature" folded=true
loss = check.ready(distillation_loss, tinykd.forward_kl)
torch.manual_seed(0)
student, teacher = torch.randn(2, 1000, 10) * 3
temperatures = [0.5, 1, 2, 4, 8, 16]
plt.figure(figsize=(5, 3), layout="constrained")
plt.semilogx(temperatures, [loss(student, teacher, T).mean() for T in temperatures], "o-")
plt.xlabel("temperature T")
plt.ylabel("mean loss, nats")
plots.show("The mean distillation loss of random logits over the temperature from 0.5 to 16.")
