"""Holm's procedure as it is defined."""


def holm_by_definition(p_values):
    """Return the smallest level at which each hypothesis is rejected.

    From the smallest p-value on, hypotheses are rejected while p <= level / (number of those not yet rejected).
    """

    def rejected(level):
        remaining = sorted(range(len(p_values)), key=lambda number: p_values[number])
        while remaining and p_values[remaining[0]] <= level / len(remaining):
            remaining.pop(0)
        return set(range(len(p_values))) - set(remaining)

    candidates = sorted({p * count for p in p_values for count in range(1, len(p_values) + 1)})
    levels = [level * (1 + 1e-12) for level in candidates if level < 1] + [1]
    return [min([level for level in levels if number in rejected(level)], default=1) for number in range(len(p_values))]
