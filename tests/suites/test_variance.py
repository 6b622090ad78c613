"""Variance by depth: the derived numbers against simulation within stated errors, and by exact small cases."""

import math
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import basic_block_net, images

from benchmarks.records.variance import ARMS, VarianceRow, read_variances, variance_path, write_variance_rows
from benchmarks.variance.derived import growth_per_sub_block, net_variances, node_variances, rms_correlation
from benchmarks.variance.measure import GATES, NORMS, correlations, measure_net, simulate


def by_covariances(gates: list[float], k: int) -> list[float]:
    """Variances by writing every node as a sum of uncorrelated parts: the input and the residuals."""
    parts = [[1.0] + [0.0] * k]
    for target in range(1, k + 1):
        first = target * (target - 1) // 2
        node = [sum(gates[first + i] * parts[i][p] for i in range(target)) for p in range(k + 1)]
        node[target] += math.sqrt(sum(part**2 for part in parts[-1]))
        parts.append(node)
    return [sum(part**2 for part in node) for node in parts]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 6).flatmap(
        lambda k: st.tuples(st.just(k), st.lists(st.floats(0, 1), min_size=k * (k + 1) // 2, max_size=k * (k + 1) // 2))
    )
)
def test_variances_are_those_of_sums_of_uncorrelated_parts(case: tuple[int, list[float]]) -> None:
    k, gates = case
    assert node_variances(gates, k) == pytest.approx(by_covariances(gates, k))


def test_one_skip_doubles_and_all_skips_grow_by_the_eigenvalue() -> None:
    one = [float(source == target - 1) for target in range(1, 13) for source in range(target)]
    assert node_variances(one, 12) == [2.0**j for j in range(13)]
    grown = node_variances([1.0] * 78, 12)
    assert grown[-1] / grown[-2] == pytest.approx(growth_per_sub_block(1.0), rel=1e-6)
    assert growth_per_sub_block(1.0) == pytest.approx((5 + math.sqrt(13)) / 2)
    halves = node_variances([0.5] * 78, 12)
    assert halves[-1] / halves[-2] == pytest.approx(growth_per_sub_block(0.5), rel=1e-4)


@pytest.mark.parametrize("arm", ARMS)
def test_the_derivation_meets_the_simulation(arm: str) -> None:
    """Mean of the logarithm over draws, within four standard errors and 6 % for a net of finite width."""
    draws = torch.tensor([simulate(arm, d=128, n_inputs=128, seed=n) for n in range(12)]).log()
    draws = draws - draws[:, :1]
    expected = torch.tensor(net_variances(GATES[arm], 2, 4, norm=NORMS[arm])).log()
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - expected).abs() <= 4 * error + 0.06).all()


def test_a_factor_of_one_for_the_covariance_would_not_meet_it() -> None:
    """The paper's Eq. 5 counts Cov once. With x_2 = r_2 + x_1 + x_0 that gives 2 + 2 + 1 + 1 = 6, not 7."""
    draws = torch.tensor([simulate("all skips", d=128, n_inputs=128, seed=n) for n in range(12)])
    found = (draws[:, 2] / draws[:, 0]).log()
    error = found.std() / math.sqrt(len(found))
    assert abs(found.mean() - math.log(7)) < 4 * error + 0.03
    assert abs(found.mean() - math.log(6)) > 4 * error + 0.03


@pytest.mark.parametrize("d", [8, 32, 128])
def test_correlations_shrink_like_one_over_the_root_of_d(d: int) -> None:
    found = correlations(d, draws=4096 // d, seed=d)
    assert abs(found.rms - rms_correlation(d)) < 4 * found.standard_error
    assert found.n_coordinates == 4096


def test_net_measurements_have_one_number_per_node() -> None:
    x = images(8)
    one, everything, normed, delta = (measure_net(basic_block_net(), arm, x) for arm in ARMS)
    assert len(one) == len(everything) == len(normed) == len(delta) == 9
    assert one[0] == everything[0] == normed[0] == delta[0]
    assert everything[-1] > one[-1] > 0
    assert [normed[depth] for depth in (2, 4, 6)] == pytest.approx([1.0] * 3, rel=0.01), "behind each block's BatchNorm"
    assert normed[1] == everything[1]


def test_files_are_read_back(tmp_path: Path) -> None:
    folder = tmp_path
    assert read_variances(folder) is None
    row = VarianceRow(setting="kaiming", arm="Delta", depth=1, variance=2.0, log10_sd=None, n_draws=1, derived=2.0)
    write_variance_rows(variance_path(folder), [row])
    assert read_variances(folder) is None, "half of it is not a measurement"
    write_variance_rows(folder / "correlation.csv", [correlations(8, draws=4, seed=0)])
    variances, found = read_variances(folder) or (pd.DataFrame(), pd.DataFrame())
    assert variances["variance"].tolist() == [2.0]
    assert found["d"].tolist() == [8]
