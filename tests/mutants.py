"""Mutants: small mistakes put into a copy of the repository, each of which a test must catch.

    python tests/mutants.py [--check] [NAME ...]

The script copies the repository to a temporary folder and runs the tests that are named below,
first without a mistake and then once for each mutant. A mutant is caught if one of its tests fails.
The tests are among those of `make test`. NAME is a part of a mutant's name; without a name all
mutants are run. `--check` only checks that the table fits the repository.

Exit status: 0 if all mutants are caught, 1 if one is not, 2 if the table or an argument is wrong or
a test fails without a mistake.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parent.parent
MARKERS = "not slow and not extras"  # as in the target `test` of the Makefile
# Loaded once for all runs of pytest. None of them imports tfft.
MODULES = ("tensorflow", "tensorflow_text", "keras_hub", "sklearn.linear_model", "hypothesis")

# Each mutant: its file and name, the lines to replace ("-"), which occur once in the file, their
# replacement ("+"), and the tests that catch it.
TABLE = """
tfft/training/freezing.py: a weight that a pattern freezes changes
  -         if id(variable) in stay:
  -             variable.trainable = False
  +         pass
  tests/training/test_stage.py::test_patterns_freeze_variables
tfft/training/freezing.py: freeze_layers freezes one layer less
  - return set(names[: int(freeze_layers) + 1])
  + return set(names[: int(freeze_layers)])
  tests/training/test_stage.py::test_the_proof_counts_frozen_and_moved
tfft/training/freeze_proof.py: the freeze proof does not see changed weights
  - broken = sorted(changed & prepared.frozen)
  + broken = sorted(trainable & prepared.frozen)
  tests/training/test_stage.py::test_the_proof_fails_when_a_frozen_weight_changes
tfft/training/freezing.py: statistics of a frozen norm move
  - norm.trainable = False
  + norm.trainable = True
  tests/methods/test_methods.py::test_the_statistics_of_a_frozen_norm_never_move
tfft/training/freezing.py: layer-wise decay goes up from the embeddings
  - above |= {name: len(groups) - place for place, name in enumerate(groups)}
  + above |= {name: place + 1 for place, name in enumerate(groups)}
  tests/training/test_stage.py::test_layer_decay_goes_down_from_the_head
tfft/backbones/splitting.py: dropout stays on in frozen layers
  - return False if self._frozen else training
  + return training
  tests/training/test_stage.py::test_frozen_layers_run_without_dropout_and_others_with_it
tfft/training/batch_plan.py: the order of the batches ignores the seed
  - plan = self._epoch(np.random.default_rng([*self.seed, epoch]))
  + plan = self._epoch(np.random.default_rng([epoch]))
  tests/training/test_batch_plan.py::test_the_order_follows_from_the_seed_the_stage_and_the_epoch
tfft/training/loop.py: dropout ignores the seed
  - state = np.random.SeedSequence([*seed, number]).generate_state(len(np.array(variable)))
  + state = np.random.SeedSequence([number]).generate_state(len(np.array(variable)))
  tests/training/test_loop.py::test_random_generators_follow_from_the_seed_and_the_stage
tfft/runs/environment.py: the first weights of the head ignore the seed
  -     random.seed(seed)
  +     random.seed(0)
  tests/training/test_loop.py::test_the_first_weights_of_a_head_follow_from_the_seed
tfft/training/checkpointing.py: a checkpoint skips the optimizer
  - ("optimizer", model.optimizer.variables),
  + ("optimizer", []),
  tests/training/test_loop.py::test_a_stopped_run_with_everything_on_continues_to_the_same_bits
tfft/data/example_reader.py: a continued epoch begins with its first batch
  - dataset = tf.data.Dataset.range(start, len(plan)).map(tensors, **more)
  + dataset = tf.data.Dataset.range(len(plan)).map(tensors, **more)
  tests/data/test_example_reader.py::test_a_dataset_starts_at_any_batch
tfft/training/checkpointing.py: the last epoch counts as the best
  - best = position.best is None or early_stopping.better(
  + best = True or early_stopping.better(
  tests/training/test_loop.py::test_the_best_epoch_is_that_of_the_monitored_figure
tfft/training/loop.py: a stage that stopped early keeps its last weights
  - if stage.early_stopping.patience is not None:
  + if stage.early_stopping.patience is None:
  tests/training/test_loop.py::test_early_stopping_ends_a_stage_and_goes_on_from_the_best
tfft/training/early_stopping.py: early stopping waits one epoch more
  - if best is None or waited < settings.patience:
  + if best is None or waited <= settings.patience:
  tests/training/test_early_stopping.py::test_patience_counts_epochs_without_a_change_that_is_large_enough
tfft/training/averaging/swa.py: stochastic weight averaging forgets the earlier epochs
  - mean.assign((before * mean + variable) / (before + 1.0))
  + mean.assign((mean + variable) / 2.0)
  tests/training/averaging/test_averaging.py::test_swa_by_hand
tfft/training/feature_cache/cache.py: the cache serves another layer
  - lower = Cut(depth)
  + lower = Cut(max(depth - 1, 0))
  tests/training/test_feature_cache.py::test_a_deeper_cut_continues_from_a_shallower_one
tfft/training/feature_cache/cache.py: cached features outlive a change of the weights
  - self._hashes.forget_weights()
  + pass
  tests/training/test_feature_cache.py::test_every_change_makes_new_features
tfft/export/saved_model.py: NaN passes the export gate
  - return change if math.isfinite(change) else math.inf
  + return change
  tests/export/test_saved_model.py::test_a_number_that_is_not_finite_differs_infinitely
tfft/export/saved_model.py: the export gate is a thousand times too wide
  - TOLERANCE = 1e-5
  + TOLERANCE = 1e-2
  tests/export/test_saved_model.py::test_the_gate_lets_through_what_is_within_its_tolerance_alone
tfft/preprocessing/text/text_preprocessor.py: texts are cut one token too early
  - return tf.concat([rows[:, : self.sequence_length - 1], last], axis=1)
  + return tf.concat([rows[:, : self.sequence_length - 2], last], axis=1)
  tests/preprocessing/test_text_preprocessor.py::test_truncation_keeps_the_last_token
tfft/preprocessing/text/text_pairs.py: a pair has one separator where its body has two
  - between = [end, end] if self.double_end else [end]
  + between = [end]
  tests/tasks/test_text_pair_classification.py::test_every_body_reads_pairs[roberta]
tfft/tasks/targets/labels.py: labels are shifted by one
  - return np.array([numbers[label] for label in labels], np.int32)
  + return np.array([(numbers[label] + 1) % len(numbers) for label in labels], np.int32)
  tests/tasks/test_text_classification.py::test_targets_name_an_unknown_label
tfft/tasks/text/teacher_forcing.py: a generative model learns the token itself, not the next
  -     prompt = np.full(len(before) - 1, IGNORED, np.int32)
  -     return np.concatenate([prompt, answer, [IGNORED]]).astype(np.int32)
  +     prompt = np.full(len(before), IGNORED, np.int32)
  +     return np.concatenate([prompt, answer]).astype(np.int32)
  tests/tasks/test_causal_lm.py::test_the_answer_alone_is_learned
tfft/tasks/classification.py: class weights are ignored
  - return Crossentropy(classes, self.label_smoothing, self.focal_gamma, self.weights)
  + return Crossentropy(classes, self.label_smoothing, self.focal_gamma)
  tests/losses/test_losses.py::test_balanced_needs_the_counts
tfft/data/splits.py: equal texts are in several splits
  - of_keys = ranks(keys)
  + of_keys = ranks(f"{number} {key}" for number, key in enumerate(keys))
  tests/data/sources/test_files.py::test_one_file_is_split_exactly_and_equal_texts_stay_together
tfft/data/splits.py: groups are separated
  - units = Units.of(keys or keys_of(train[:inputs]), None if group is None else train[group])
  + units = Units.of(keys or keys_of(train[:inputs]))
  tests/data/test_splits.py::test_groups_that_share_a_text_stay_together
tfft/data/splits.py: a text of the test split stays in the training split
  - kept[split] = [number for number, key in enumerate(keys) if key not in later]
  + kept[split] = list(range(len(keys)))
  tests/data/sources/test_files.py::test_files_of_their_own
tfft/data/folds.py: a fold is trained on what it holds out
  - {"train": np.flatnonzero(places != fold), "validation": np.flatnonzero(places == fold)}
  + {"train": np.arange(len(places)), "validation": np.flatnonzero(places == fold)}
  tests/runs/test_repeat.py::test_folds_hold_out_each_text_once_in_the_same_shares
tfft/metrics/confidence_intervals.py: a Wilson interval is one-sided
  - share, z = hits / count, float(ndtri(0.975))
  + share, z = hits / count, float(ndtri(0.95))
  tests/metrics/test_classification.py::test_wilson_interval_of_a_known_case
tfft/metrics/confidence_intervals.py: a bootstrap interval holds 90 %
  - low, high = np.quantile(draws, ndtr(2 * shift + ndtri([0.025, 0.975])))
  + low, high = np.quantile(draws, ndtr(2 * shift + ndtri([0.05, 0.95])))
  tests/metrics/test_confidence_intervals.py::test_an_interval_holds_the_middle_95_percent_of_the_draws
tfft/metrics/classification/multi_label.py: micro F1 is macro F1
  - "micro_f1": ("f1", label_sums(truth, predicted)),
  + "micro_f1": ("mean_f1", single),
  tests/tasks/test_multi_label_classification.py::test_figures_are_those_of_scikit_learn
tfft/metrics/text/tagged_spans.py: a span with a wrong label counts as right
  - rows = [(len({*a} & {*b}), len(b), len(a)) for
  + rows = [(len({s[:2] for s in a} & {s[:2] for s in b}), len(b), len(a)) for
  tests/metrics/test_tagged_spans.py::test_figures_are_those_of_a_count
tfft/metrics/classification/thresholds.py: a threshold is a score, not between two
  - "value": float(distinct[best : best + 2].mean()),
  + "value": float(distinct[best + 1]),
  tests/metrics/test_thresholds.py::test_the_threshold_lies_between_scores
tfft/tasks/calibrations/class_probabilities.py: the temperature multiplies the logits
  - variable.assign(variable / temperature)
  + variable.assign(variable * temperature)
  tests/evaluation/test_calibration.py::test_the_model_is_scaled_by_the_temperature_of_the_validation_split
tfft/baselines/tfidf.py: the majority baseline gives each class the same share
  - shares = np.bincount(train_labels, minlength=classes) / len(train_labels)
  + shares = np.full(classes, 1 / classes)
  tests/baselines/test_baselines.py::test_the_majority_is_that_of_the_training_split
tfft/config/strict_checks.py: an unused binding passes
  - yield from _check_reach(composition, see)
  + yield from ()
  tests/config/test_config.py::test_binding_of_something_that_is_not_reached
tfft/storage/locks.py: two processes may hold one workdir
  - fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
  + fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
  tests/storage/test_workdir.py::test_a_second_process_is_refused
tfft/storage/atomic_write.py: a write that fails leaves half a file
  - elif _is_replaced(target):
  + elif not target.exists():
  tests/storage/test_workdir.py::test_a_failed_write_leaves_the_old_file_and_nothing_beside_it
tfft/evaluation/inference.py: predictions are in the order of the batches
  - kept[place][batch.rows] = out
  + kept[place][np.sort(batch.rows)] = out
  tests/test_api.py::test_predictions_have_names_and_keep_the_order
tfft/runs/prediction_files.py: rows are skipped and not counted
  - return Rows(table, range(len(table.rows)), table.skipped, wanted, line_name)
  + return Rows(table, range(len(table.rows)), (), wanted, line_name)
  tests/runs/test_predict.py::test_rows_that_cannot_be_read_are_skipped_on_request
tfft/tasks/signatures/class_probabilities.py: labels of an example get the names of others
  - names = np.array(self.names)
  + names = np.array(self.names)[::-1]
  tests/tasks/test_multi_label_classification.py::test_a_prediction_reads_names
tfft/training/optimizers/build.py: gradients are not accumulated
  - gradient_accumulation_steps=every if every > 1 else None,
  + gradient_accumulation_steps=None,
  tests/training/test_batch_plan.py::test_accumulated_steps_are_those_of_the_large_batch
tfft/methods/lora.py: a merged kernel lacks the change of LoRA
  - return kernel + self.alpha / self.rank * (values["a"] @ values["b"]), bias
  + return kernel, bias
  tests/methods/test_adapters.py::test_merged_is_unmerged
tfft/preprocessing/text/subword_tokenizer.py: an unknown piece gets the id -1
  - return ids.with_values(tf.where(ids.values < 0, self._unknown, ids.values))
  + return ids
  tests/preprocessing/test_text_preprocessor.py::test_missing_byte_pair_piece_is_unknown_and_not_minus_one
tfft/data/example_reader.py: a token of padding counts as one of the text
  - return (np.arange(size) < lengths[:, None]).astype(np.int32)
  + return (np.arange(size) <= lengths[:, None]).astype(np.int32)
  tests/data/test_example_reader.py::test_a_batch_is_padded_and_masked
"""


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A mistake in one file.

    Attributes:
      name: what is wrong.
      file: path in the repository.
      old, new: the text to replace and its replacement.
      tests: ids of pytest.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def problem(self) -> str:
        """Returns why the mutant does not fit the repository, "" if it does."""
        for file in (self.file, *(test.partition("::")[0] for test in self.tests)):
            if not (ROOT / file).is_file():
                return f"there is no {file}"
        count = (ROOT / self.file).read_text("utf-8").count(self.old)
        return "" if count == 1 else f"{self.file} has the text {count} times, not once"


def parse(table: str) -> list[Mutant]:
    """Returns the mutants of a table."""
    mutants = []
    for block in re.split(r"\n(?=\S)", table.strip()):
        title, *lines = (line.removeprefix("  ") for line in block.splitlines())
        file, name = title.split(": ", 1)
        old, new = ("\n".join(line[2:] for line in lines if line[0] == mark) for mark in "-+")
        tests = tuple(line for line in lines if line[0] not in "-+")
        mutants.append(Mutant(name, file, old, new, tests))
    return mutants


class Copy:
    """A copy of the repository in which tests are run.

    Args:
      room: an empty folder.
    """

    def __init__(self, room: pathlib.Path):
        self.room, self.root = room, room / "copy"
        # The files that git tracks, or would, as they are in the working tree.
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        for name in filter(None, done.stdout.split("\0")):
            if (ROOT / name).is_file():  # a deleted file may still be in the index
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, self.root / name)
        # All processes import this copy. None writes compiled files, because two versions of a file
        # may have the same size and time.
        os.environ |= {"PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        sys.path.insert(0, str(self.root / "tests"))
        self._forks = importlib.import_module("forks")
        self._check_imports()

    def _check_imports(self) -> None:
        """Fails if tests, or processes that tests start, import another `tfft` than the copy."""
        code = "import tfft; print(tfft.__file__)"
        start = f"import subprocess, sys; subprocess.run([sys.executable, '-P', '-c', {code!r}])"
        for each in (code, start):
            done = self._forks.run([sys.executable, "-P", "-c", each], self.room, MODULES)
            assert done.stdout.strip() == str(self.root / "tfft/__init__.py"), done

    def test(self, tests: tuple[str, ...]) -> tuple[int, str]:
        """Returns the exit status of pytest and what it printed."""
        command = [sys.executable, "-P", "-m", "pytest", "-x", "-q", "-n", "0", "-m", MARKERS]
        command += ["-p", "no:cacheprovider", f"--basetemp={self.room / 'pytest'}", *tests]
        done = self._forks.run(command, self.root, MODULES)
        return done.returncode, done.stdout + done.stderr

    def catch(self, mutant: Mutant) -> str:
        """Returns the test that fails with a mutant, "" if none does."""
        path = self.root / mutant.file
        text = path.read_text("utf-8")
        path.write_text(text.replace(mutant.old, mutant.new), "utf-8")
        status, output = self.test(mutant.tests)
        path.write_text(text, "utf-8")
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
        if status == 1 and failed:
            return failed[1]
        if status:  # no such test, or the file cannot be imported: neither is a catch
            print(f"{output[-3000:]}\npytest ended with status {status}")
        return ""


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs tests on mutants of the repository.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a part of a mutant's name")
    parser.add_argument("--check", action="store_true", help="check the table alone")
    flags = parser.parse_args()
    known = parse(TABLE)
    mutants = [m for m in known if not flags.names or any(n in m.name for n in flags.names)]
    if not mutants:
        parser.error("no such mutant; there are:\n" + "\n".join(m.name for m in known))
    problems = [f"{m.name}: {problem}" for m in mutants if (problem := m.problem())]
    if problems or flags.check:
        print("\n".join([*problems, f"{len(problems)} of {len(mutants)} mutants do not fit"]))
        return 2 if problems else 0
    rows = []
    with tempfile.TemporaryDirectory(prefix="tfft-mutants-") as room:
        copy = Copy(pathlib.Path(room).resolve())
        status, output = copy.test(tuple(dict.fromkeys(t for m in mutants for t in m.tests)))
        if status:
            print(f"{output[-3000:]}\nthe tests fail without a mutant")
            return 2
        print("without a mutant:", output.strip().splitlines()[-1], flush=True)
        for mutant in mutants:
            began = time.monotonic()
            test = copy.catch(mutant)
            seconds = time.monotonic() - began
            result = f"caught by {test}" if test else "NOT CAUGHT"
            print(f"{mutant.name}: {result}", flush=True)
            rows.append(f"| {mutant.name} | `{mutant.file}` | {result} | {seconds:.0f} |")
    print("\n| mutant | file | result | seconds |\n|---|---|---|---:|", *rows, sep="\n")
    missed = sum("NOT CAUGHT" in row for row in rows)
    print(f"\n{len(rows) - missed} of {len(rows)} mutants are caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
