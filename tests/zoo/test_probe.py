"""The linear probe against scikit-learn's own solvers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from zoo import fewshot, logistic
from zoo import probe as probe_module
from zoo.probe import Head, fit_head, out_of_fold, probe


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    x = x[:600].astype(np.float16)
    y = y[:600].astype(np.int64)
    folds = np.empty(len(y), dtype=np.int64)
    splitter = StratifiedKFold(5, shuffle=True, random_state=0)
    for fold, (_, held_out) in enumerate(splitter.split(x, y)):
        folds[held_out] = fold
    return x, y, folds


def reference(x, y, strength, weights=None):
    return LogisticRegression(C=strength, tol=1e-8, max_iter=5000).fit(x, y, sample_weight=weights)


@pytest.mark.parametrize("strength", [1e-4, 1e-2, 1.0])
def test_a_head_gives_the_probabilities_of_scikit_learns_logistic_regression(digits, strength):
    x, y, _ = digits
    z = StandardScaler().fit_transform(x.astype(np.float64))
    head = fit_head(x, y, 10, strength=strength)
    expected = reference(z, y, strength).predict_proba(z)
    np.testing.assert_allclose(head.probabilities(x), expected, atol=1e-3)


def test_weights_of_images_count_as_in_scikit_learn(digits):
    x, y, _ = digits
    weights = np.random.default_rng(0).uniform(0, 3, len(y))
    z = StandardScaler().fit_transform(x.astype(np.float64))
    head = fit_head(x, y, 10, strength=0.01, weights=weights)
    expected = reference(z, y, 0.01, weights).predict_proba(z)
    np.testing.assert_allclose(head.probabilities(x), expected, atol=1e-3)


def test_out_of_fold_probabilities_come_from_a_fit_that_left_the_fold_out(digits):
    x, y, folds = digits
    z = StandardScaler().fit_transform(x.astype(np.float64))
    expected = np.empty((len(y), 10))
    for fold in range(5):
        inside = folds != fold
        expected[~inside] = reference(z[inside], y[inside], 0.01).predict_proba(z[~inside])
    np.testing.assert_allclose(out_of_fold(x, y, 10, folds, strength=0.01), expected, atol=1e-3)


def test_a_label_never_influences_its_own_out_of_fold_probability(digits):
    x, y, folds = digits
    changed = y.copy()
    changed[folds == 2] = 0
    before = out_of_fold(x, y, 10, folds, strength=0.01)
    after = out_of_fold(x, changed, 10, folds, strength=0.01)
    np.testing.assert_allclose(after[folds == 2], before[folds == 2], atol=1e-3)
    assert np.abs(after[folds != 2] - before[folds != 2]).max() > 0.1


def test_rows_read_block_by_block_give_the_same_head_as_rows_held(digits, monkeypatch):
    x, y, _ = digits
    held = fit_head(x, y, 10, strength=0.01)
    monkeypatch.setattr(logistic, "_CURVATURE_ROWS", 100)
    monkeypatch.setattr(logistic, "_BLOCK", 1)
    blockwise = fit_head(x, y, 10, strength=0.01)
    np.testing.assert_allclose(blockwise.probabilities(x), held.probabilities(x), atol=1e-3)


def test_fewer_rows_than_features_give_scikit_learns_solution_too():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = rng.normal(size=(60, 200)) + 0.5 * np.eye(3)[y] @ rng.normal(size=(3, 200))
    z = StandardScaler().fit_transform(x)
    expected = reference(z, y, 0.1).predict_proba(z)
    np.testing.assert_allclose(fit_head(x, y, 3, strength=0.1).probabilities(x), expected, atol=1e-3)


def test_a_feature_that_never_varies_gets_no_weight_and_no_nan(digits):
    x, y, _ = digits
    constant = np.full((len(x), 1), 7, dtype=np.float16)
    head = fit_head(np.hstack([x, constant]), y, 10, strength=0.01)
    assert np.isfinite(head.weight).all()
    assert np.abs(head.weight[:, -1]).max() < 1e-6


def test_a_class_without_an_image_is_never_predicted(digits):
    x, y, _ = digits
    head = fit_head(x, y, 12, strength=0.1)
    assert head.bias.shape == (12,)
    assert head.probabilities(x)[:, 10:].max() < 1e-2


def test_the_probe_chooses_a_strength_that_cross_validates_within_a_point_of_the_best(digits):
    x, y, folds = digits
    result = probe(x, y, 10, folds=folds)
    best = max((out_of_fold(x, y, 10, folds, strength=s).argmax(1) == y).mean() for s in probe_module.STRENGTHS)
    assert result.method == "logistic"
    assert result.accuracy >= best - 0.01
    np.testing.assert_allclose(result.accuracy, (result.out_of_fold.argmax(1) == y).mean())


def test_the_probes_head_is_the_fit_on_all_images_at_the_chosen_strength(digits):
    x, y, folds = digits
    result = probe(x, y, 10, folds=folds)
    expected = fit_head(x, y, 10, strength=result.strength)
    np.testing.assert_allclose(result.head.probabilities(x), expected.probabilities(x), atol=1e-3)


def test_the_same_arguments_give_the_same_numbers(digits):
    x, y, folds = digits
    first, second = (probe(x, y, 10, folds=folds) for _ in range(2))
    np.testing.assert_array_equal(first.head.weight, second.head.weight)
    np.testing.assert_array_equal(first.out_of_fold, second.out_of_fold)


def test_class_weights_raise_the_recall_of_a_rare_class():
    rng = np.random.default_rng(0)
    y = (np.arange(1000) % 20 == 0).astype(np.int64)
    x = rng.normal(size=(1000, 8)) + y[:, None] * 0.6
    folds = rng.integers(5, size=1000)
    plain = probe(x, y, 2, folds=folds)
    weighted = probe(x, y, 2, folds=folds, class_weights=np.array([1.0, 19.0]))
    rare = y == 1
    assert (weighted.out_of_fold[rare].argmax(1) == 1).mean() > (plain.out_of_fold[rare].argmax(1) == 1).mean() + 0.3


def test_many_images_choose_the_strength_on_a_sample_and_fit_on_all(digits, monkeypatch):
    x, y, folds = digits
    monkeypatch.setattr(probe_module, "CHOICE_ROWS", 290)
    result = probe(x, y, 10, folds=folds)
    expected = fit_head(x, y, 10, strength=result.strength)
    np.testing.assert_allclose(result.head.probabilities(x), expected.probabilities(x), atol=1e-2)
    held_out = out_of_fold(x, y, 10, folds, strength=result.strength)
    np.testing.assert_allclose(result.out_of_fold, held_out, atol=5e-2)
    assert np.abs(result.out_of_fold - held_out).mean() < 1e-3


def test_the_sample_that_the_strength_is_chosen_on_has_images_of_every_fold_however_they_are_ordered(monkeypatch):
    y = np.repeat(np.arange(2), 300)
    x = np.random.default_rng(0).normal(size=(600, 4)) + y[:, None]
    monkeypatch.setattr(probe_module, "CHOICE_ROWS", 120)
    in_turn = np.arange(600) % 5  # as often as every fifth image is taken
    result = probe(x, y, 2, folds=in_turn)
    assert result.accuracy == pytest.approx(probe(x, y, 2, folds=np.roll(in_turn, 1)).accuracy, abs=0.05)
    assert np.isfinite(result.out_of_fold).all()


def test_few_images_a_class_take_the_better_of_lda_and_ridge(digits):
    x, y, _ = digits
    few = np.concatenate([np.flatnonzero(y == c)[:6] for c in range(10)])
    rest = np.setdiff1d(np.arange(len(y)), few)
    result = probe(x[few], y[few], 10, folds=np.tile(np.arange(3), 20))
    assert result.method in {"lda", "ridge"}
    assert (result.head.logits(x[rest]).argmax(1) == y[rest]).mean() > 0.8
    np.testing.assert_allclose(result.out_of_fold.sum(1), 1, atol=1e-5)


def test_lda_is_the_textbook_rule_with_scikit_learns_ledoit_wolf_covariance(digits):
    x, y, _ = digits
    z = StandardScaler().fit_transform(x[:80].astype(np.float64))
    labels = y[:80]
    fit = fewshot.lda(z, labels, 10, np.ones(80))
    means = np.stack([z[labels == c].mean(0) for c in range(10)])
    covariance, shrinkage = ledoit_wolf(z - means[labels], assume_centered=True)
    solved = np.linalg.solve(covariance, means.T)
    bias = np.log(np.bincount(labels) / 80) - np.einsum("cd,dc->c", means, solved) / 2
    np.testing.assert_allclose(fit.strength, shrinkage, rtol=1e-6)
    expected = z @ solved + bias
    np.testing.assert_allclose(z @ fit.weight + fit.bias, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("n", [40, 200])
def test_ridge_is_scikit_learns_ridge(digits, n):
    x, y, _ = digits
    z, labels = x[:n].astype(np.float64), y[:n]
    weights = np.random.default_rng(0).uniform(0.5, 2, n)
    target = np.where(labels[:, None] == np.arange(10), 1.0, -1.0)
    for fit in fewshot.ridge(z, labels, 10, weights):
        expected = Ridge(alpha=fit.strength).fit(z, target, sample_weight=weights)
        np.testing.assert_allclose(z @ fit.weight + fit.bias, expected.predict(z), atol=1e-6)


def test_a_class_missing_from_the_few_shot_rows_never_wins(digits):
    x, y, _ = digits
    z = x[:50].astype(np.float64)
    for fit in fewshot.fits(z, y[:50] % 3, 4, np.ones(50)):
        assert (z @ fit.weight + fit.bias).argmax(1).max() < 3


def test_a_head_reads_float16_rows_in_blocks_and_agrees_with_one_product():
    rng = np.random.default_rng(0)
    head = Head(weight=rng.normal(size=(3, 4)).astype(np.float32), bias=np.arange(3, dtype=np.float32))
    x = rng.normal(size=(9000, 4)).astype(np.float16)
    np.testing.assert_allclose(head.logits(x), x.astype(np.float32) @ head.weight.T + head.bias, atol=1e-5)


def test_temperature_leaves_calibrated_scores_alone_and_cools_overconfident_ones():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    y = (p.cumsum(1) > rng.uniform(size=(4000, 1))).argmax(1)
    assert 0.85 < fewshot.temperature(logits, y, np.ones(4000)) < 1.15
    assert 0.085 < fewshot.temperature(logits * 10, y, np.ones(4000)) < 0.115
