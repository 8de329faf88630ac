"""Slower rotary positions: how a model made for n positions is stretched to more.

The angle of position t and pair i, t * base**(-2 i / d), is divided by a factor_i of its own
(`Config.rope_factors`).
"""

import math

from .whole import Settings

Rope = tuple[float, tuple[float, ...] | None]  # the base, and what each frequency is divided by


def linear_factors(size: int, factor: float) -> tuple[float, ...]:
    """Position interpolation (Chen et al. 2023, arXiv 2306.15595, eq. 3): every angle / factor."""
    return (factor,) * (size // 2)


def llama3_factors(
    size: int, base: float, factor: float, low: float, high: float, original: float
) -> tuple[float, ...]:
    """Llama 3.1's: fast pairs stay as they are, slow ones are divided by `factor`.

        turns_i = original * base**(-2 i / d) / (2 pi)           within the `original` positions
        m_i = (turns_i - low) / (high - low), cut to [0, 1]
        frequency_i <- frequency_i * ((1 - m_i) / factor + m_i)

    size: d. From the code the model came with (`apply_scaling` in models/llama3/model.py of
    github.com/meta-llama/llama-models); its paper, arXiv 2407.21783, does not tell.
    """
    factors = []
    for i in range(0, size, 2):
        turns = original * base ** (-i / size) / (2 * math.pi)
        m = min(max((turns - low) / (high - low), 0.0), 1.0)
        factors.append(1 / ((1 - m) / factor + m))
    return tuple(factors)


def hub_rope(settings: Settings, size: int) -> Rope:
    """What a config.json says, in either spelling: "rope_scaling" or, newer, "rope_parameters".

    Raises ValueError where they contradict each other, and for a kind not in this file.
    """
    outer = settings.left.get("rope_theta")
    base = settings.number("rope_theta", 10_000.0)
    read = []
    for name in ("rope_scaling", "rope_parameters"):
        if inner := settings.take(name):
            said = Settings(f"{settings.source}: {name}", inner, settings.ignore)
            read.append(_read(said, base, size))
            if outer not in (None, read[-1][0]):
                raise ValueError(f"{said.source}: rope_theta {read[-1][0]}, but outside {outer}")
    if len(set(read)) > 1:
        raise ValueError(f"{settings.source}: rope_scaling and rope_parameters differ")
    return read[0] if read else (base, None)


def _read(said: Settings, base: float, size: int) -> Rope:
    base = said.number("rope_theta", base)
    kinds = {said.take(name, "default") for name in ("type", "rope_type") if name in said.left}
    kind = ", ".join(sorted(kinds)) or "default"
    said.expect("partial_rotary_factor", 1)
    factors = None
    if kind == "linear":
        factors = linear_factors(size, said.number("factor"))
    elif kind == "llama3":
        names = "factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"
        factor, low, high, original = map(said.number, names)
        if low >= high:
            raise ValueError(f"{said.source}: low_freq_factor {low} must be below {high}, the high")
        factors = llama3_factors(size, base, factor, low, high, original)
    elif kind != "default":
        raise ValueError(f"{said.source}: type {kind!r}; only default, linear and llama3 are read")
    said.done()
    return base, factors
