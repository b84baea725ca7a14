"""One run or more of every command that reads or writes files."""

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import fault_inputs as inputs

# Those that read and write nothing.
WITHOUT_FILES = {"merge methods", "label methods", "rank methods", "label bags plan",
                 "study voting"}
TORCH_ARCHIVE = Path(__file__).parents[1] / "data" / "torch" / "views.pt"


@dataclass
class Run:
    """`words` as for Command: {} is the run's folder, SHARED the one that all read."""

    name: str
    words: list
    resumes: bool = False
    learns: bool = False  # by the learning library, which takes a second to load
    long: bool = False  # another run has all of its calls too, or nearly
    ends_in_c: bool = False  # Eigen ends the process at some allocations
    keeps: tuple = ()  # outputs that a failed run may have made, from which the next goes on
    prepare: list = field(default_factory=list)  # commands that make inputs in {}
    files: dict = field(default_factory=dict)  # texts in {}


def run(name, words, **more):
    return Run(name, words.split(), **more)


def weight_runs():
    ties = ("merge -m ties -b SHARED/0.safetensors SHARED/1.safetensors SHARED/2.safetensors"
            " -p weight=1 -p density=0.4 --threads 2 --quiet")
    verified = f"{ties} -o {{}}/out --manifest"
    stages = ("name: mid\nmodels: [{model: SHARED/0.safetensors}, {model: SHARED/1.safetensors}]\n"
              "merge_method: linear\nparameters: {weight: 1}\n---\n"
              "models: [{model: mid}, {model: SHARED/2.safetensors}]\n"
              "merge_method: linear\nparameters: {weight: 1}\n")
    union = ("models: [{model: SHARED/dense0}, {model: SHARED/dense2}]\nmerge_method: linear\n"
             "parameters: {weight: 1}\ntokenizer: {source: union}\n")
    experts = ("base_model: SHARED/dense0\ngate_mode: cheap_embed\nexperts:\n"
               "- {source_model: SHARED/dense0, positive_prompts: [ab]}\n"
               "- {source_model: SHARED/dense1, positive_prompts: [b], noise_scale: 0.1}\n")
    return [
        run("inspect", "inspect SHARED/0.safetensors --stats --threads 2"),
        run("inspect-gguf", "inspect SHARED/0.gguf --json"),
        run("inspect-folder", "inspect SHARED/sharded --json"),
        run("inspect-torch", "inspect SHARED/archive.pt --stats"),
        run("diff", "diff SHARED/1.safetensors SHARED/2.safetensors --base SHARED/0.safetensors"),
        run("convert", "convert SHARED/0.safetensors {}/o.safetensors --dtype bf16 --quiet"),
        run("convert-over", "convert SHARED/0.safetensors {}/o.safetensors --overwrite --quiet",
            prepare=["convert SHARED/1.safetensors {}/o.safetensors --quiet"]),
        run("convert-folder", "convert SHARED/dense0 {}/o --dtype f16 --overwrite --quiet",
            prepare=["convert SHARED/dense1 {}/o --quiet"]),
        run("convert-gguf", "convert SHARED/0.safetensors {}/o.gguf --dtype q4_0 --quiet"),
        run("convert-split", "convert SHARED/0.gguf {}/o.gguf --shard-size 100kB --quiet"),
        run("convert-fp8", "convert SHARED/dense0 {}/o --dtype fp8_block --quiet"),
        run("convert-csr", "convert SHARED/0.safetensors {}/o.safetensors --csr --quiet"),
        run("lora-apply", "lora apply SHARED/dense0 SHARED/adapter1 {}/o.safetensors"
            " --threads 2 --quiet"),
        run("lora-extract", "lora extract SHARED/0.safetensors SHARED/1.safetensors {}/o --rank 4"
            " --quiet", ends_in_c=True),
        run("lora-merge", "lora merge SHARED/adapter1 SHARED/adapter3 -o {}/o --method svd --rank 4"
            " --quiet", ends_in_c=True),
        run("lora-merge-ties", "lora merge SHARED/adapter1 SHARED/adapter3 -o {}/o --method ties"
            " -p density=0.5 -p weight=1 --rank 4 --quiet", ends_in_c=True),
        run("merge-file", f"{ties} -o {{}}/out.safetensors", resumes=True),
        run("merge-file-manifest", f"{ties} -o {{}}/out.safetensors --manifest", resumes=True),
        run("merge-shards-manifest", f"{ties} -o {{}}/out --shard-size 100kB --manifest",
            resumes=True),
        run("merge-split", f"{ties} -o {{}}/out.gguf --dtype q8_0 --shard-size 100kB",
            resumes=True),
        run("merge-split-over", f"{ties} -o {{}}/out.gguf --dtype q8_0 --shard-size 100kB"
            " --overwrite", long=True,
            prepare=["merge -m linear SHARED/0.safetensors SHARED/1.safetensors -p weight=1"
                     " -o {}/out.gguf --dtype q8_0 --shard-size 100kB --quiet"]),
        run("merge-over-split", f"{ties} -o {{}}/out.gguf --dtype q8_0 --overwrite", long=True,
            prepare=["merge -m linear SHARED/0.safetensors SHARED/1.safetensors -p weight=1"
                     " -o {}/out.gguf --dtype q8_0 --shard-size 100kB --quiet"]),
        run("merge-plain", f"{ties} -o {{}}/out.safetensors"),
        run("merge-over", f"{ties} -o {{}}/out --overwrite",
            long=True,
            prepare=["merge -m linear SHARED/0.safetensors SHARED/1.safetensors -p weight=1"
                     " -o {}/out --quiet"]),
        run("merge-stages", "merge {}/recipe.yml -o {}/out --threads 2 --quiet", long=True,
            files={"recipe.yml": stages}),
        run("merge-union", "merge {}/recipe.yml -o {}/out --threads 2 --quiet", resumes=True,
            long=True,
            files={"recipe.yml": union}),
        run("moe", "moe {}/recipe.yml -o {}/out --manifest --threads 2 --quiet", resumes=True,
            files={"recipe.yml": experts}),
        run("verify", "verify {}/out --inputs --recompute 3 --sample-seed 1 --threads 2 --quiet",
            prepare=[verified]),
    ]


def label_runs():
    return [
        run("label-aggregate", "label aggregate SHARED/votes.csv --threads 2 --quiet --out {}/l.csv"
            " --gold SHARED/gold.csv --soft {}/s.csv --workers {}/w.csv --confusion {}/c.csv"
            " --state {}/state.safetensors --model {}/model.safetensors"),
        run("label-aggregate-jsonl", "label aggregate SHARED/votes.jsonl --method glad --threads 2"
            " --quiet --out {}/l.csv --tasks {}/t.csv"),
        run("label-aggregate-export", "label aggregate SHARED/label_studio.json --format"
            " label-studio --method majority-vote --out {}/l.csv --json"),
        run("label-update", "label update {}/state.safetensors SHARED/more.csv --out {}/l.csv"
            " --soft {}/s.csv --threads 2 --quiet",
            prepare=["label aggregate SHARED/votes.csv --out - --state {}/state.safetensors"]),
        run("label-update-glad", "label update {}/state.safetensors SHARED/more.csv --out {}/l.csv"
            " --gold SHARED/gold.csv --threads 2 --quiet",
            prepare=["label aggregate SHARED/votes.csv --method glad --out - --state"
                     " {}/state.safetensors"]),
        run("label-predict", "label predict {}/state.safetensors SHARED/more.csv --out {}/l.csv"
            " --soft {}/s.csv --threads 2",
            prepare=["label aggregate SHARED/votes.csv --out - --state {}/state.safetensors"]),
        run("label-predict-matrix", "label predict {}/model.safetensors --matrix SHARED/votes.npy"
            " --out {}/l.csv --threads 2",
            prepare=["label weak SHARED/votes.npy --out - --model {}/model.safetensors"]),
        run("label-agreement", "label agreement SHARED/votes.csv --items {}/i.csv --pairs {}/p.csv"
            " --workers {}/w.csv --adjudicate {}/a.csv --bootstrap 20 --json"),
        run("label-ask", "label ask SHARED/votes.csv --budget 5 --assign --out {}/o.csv"
            " --threads 2"),
        run("label-ask-state", "label ask --state {}/state.safetensors --budget 5 --threads 2",
            prepare=["label aggregate SHARED/votes.csv --out - --state {}/state.safetensors"]),
        run("label-pairwise", "label pairwise SHARED/pairs.csv --method noisy-bradley-terry"
            " --out {}/o.csv --workers {}/w.csv"),
        run("label-pairwise-from", "label pairwise SHARED/pairs.csv --from {}/s.safetensors --out"
            " {}/o.csv --state {}/s.safetensors",
            prepare=["label pairwise SHARED/pairs.csv --out - --state {}/s.safetensors"]),
        run("label-text", "label text SHARED/texts.csv --out {}/o.csv --threads 2"),
        run("label-text-from", "label text SHARED/texts.csv --from {}/s.safetensors --out {}/o.csv"
            " --state {}/s.safetensors --threads 2",
            prepare=["label text SHARED/texts.csv --out - --state {}/s.safetensors"]),
        run("label-masks", "label masks SHARED/masks.csv --out {}/o.csv --workers {}/w.csv"
            " --threads 2"),
        run("label-masks-from", "label masks SHARED/masks.csv --from {}/s.safetensors --out"
            " {}/o.csv --workers {}/w.csv --state {}/s.safetensors --threads 2",
            prepare=["label masks SHARED/masks.csv --out - --state {}/s.safetensors"]),
        run("label-multilabel", "label multilabel SHARED/votes.csv --out {}/o.csv --soft {}/s.csv"
            " --threads 2"),
        run("label-multilabel-state", "label multilabel SHARED/votes.csv --state {}/s.safetensors"
            " --refine --out {}/o.csv --soft {}/p.csv --threads 2"),
        run("label-weak-from", "label weak SHARED/votes.npy --from {}/s.safetensors --out {}/l.csv"
            " --state {}/s.safetensors --threads 2 --quiet",
            prepare=["label weak SHARED/votes.npy --out - --state {}/s.safetensors"]),
        run("label-weak", "label weak SHARED/votes.npy --threads 2 --out {}/l.csv --soft {}/s.csv"
            " --workers {}/w.csv --analysis {}/a.csv --model {}/m.safetensors --quiet"),
        run("label-weak-csv", "label weak SHARED/matrix.csv --method zencrowd --threads 2"
            " --out {}/l.csv --gold SHARED/gold.csv --json"),
        run("label-bags-make", "label bags make SHARED/rows.csv --size 5 --bag group"
            " --out {}/o.csv"),
        run("label-bags-release", "label bags release SHARED/rows.csv --bag bag --response y"
            " --epsilon 1 --bound 3 --seed 1 --out {}/o.csv --record {}/r.json --ledger {}/l.json"
            " --budget 9", keeps=("l.json",),  # what is published has been entered before
            prepare=["label bags release SHARED/others.csv --bag bag --response y --epsilon 1"
                     " --bound 3 --seed 1 --out {}/old.csv --ledger {}/l.json"]),
        run("label-bags-fit", "label bags fit SHARED/rows.csv --bag bag --response y --ignore kind"
            " --out {}/m.csv --save-state {}/s.safetensors --predict SHARED/rows.csv"
            " --predictions {}/p.csv --threads 2"),
        run("label-bags-merge", "label bags merge {}/a.safetensors {}/b.safetensors"
            " --out {}/o.safetensors",
            prepare=[f"label bags fit SHARED/{rows}.csv --bag bag --response y --ignore kind"
                     f" --save-state {{}}/{state}.safetensors"
                     for rows, state in (("rows", "a"), ("others", "b"))]),
    ]


def rank_runs():
    pool = ["rank pool add {}/p.sqlite SHARED/pool.jsonl"]
    rankings = {"a.csv": "system,rank\nx,1\ny,2\nz,3\n", "b.csv": "system,rank\nx,2\ny,1\nz,3\n"}
    return [
        run("rank", "rank SHARED/scores.csv --threads 2 --bootstrap 20 --over tasks --out {}/o.csv"
            " --html {}/o.html --pairs {}/p.csv --json"),
        run("rank-battles", "rank SHARED/battles.csv --battles --method bradley-terry --threads 2"
            " --out {}/o.csv"),
        run("rank-lm-eval", "rank SHARED/lm --json"),
        run("rank-kemeny", "rank SHARED/long.csv --long --method kemeny --threads 2 --json"),
        run("rank-compare", "rank compare {}/a.csv {}/b.csv --json", files=rankings),
        run("rank-next", "rank next SHARED/battles.csv --battles --budget 20 --rounds 2"
            " --out {}/o.csv"),
        run("rank-significance", "rank significance SHARED/long.csv --long --out {}/o.csv"
            " --threads 2"),
        run("rank-stability", "rank stability SHARED/long.csv --long --draws 2 --html {}/o.html"
            " --threads 2"),
        run("rank-pool-add-new", "rank pool add {}/p.sqlite SHARED/pool.jsonl"),
        run("rank-pool-add", "rank pool add {}/p.sqlite SHARED/more.jsonl", prepare=pool),
        run("rank-pool-import", "rank pool import {}/p.sqlite SHARED/long.csv --long",
            prepare=pool),
        run("rank-pool-query", "rank pool query {}/p.sqlite --about chemistry --json",
            prepare=pool),
        run("rank-pool-rank", "rank pool rank {}/p.sqlite --about chemistry --table {}/t.csv"
            " --threads 2", prepare=pool, long=True),
        run("rank-pool-concepts", "rank pool concepts {}/p.sqlite {}/c.csv --json", prepare=pool,
            files={"c.csv": "about,relevant\nchemistry,tag.eq.art\n"}),
        run("rank-pool-info", "rank pool info {}/p.sqlite --json", prepare=pool),
    ]


def study_runs():
    return [
        run("study-difficulty", "study difficulty SHARED/rows.csv --label kind --ignore bag"
            " --html {}/o.html --threads 2"),
        run("study-difficulty-npy", "study difficulty SHARED/features.npy --labels"
            " SHARED/labels.npy --json --threads 2"),
        run("study-difficulty-images", "study difficulty SHARED/images --json --threads 2"),
        run("study-subpopulations", "study subpopulations SHARED/models.csv --cluster run"
            " --majority-total 100 --bootstrap 20 --out {}/o.csv --html {}/o.html --threads 2"),
        run("study-decisions", "study decisions SHARED/answers.csv --reference prng --corpus"
            " SHARED/corpus.txt --save {}/o.csv --html {}/o.html"),
        run("study-vectors", "study vectors SHARED/0.safetensors SHARED/1.safetensors"
            " SHARED/2.safetensors --threads 2 --json"),
        run("study-robustness", "study robustness SHARED/resolutions.csv --percent --properties"
            " SHARED/sizes.csv --out {}/o.csv --html {}/o.html --threads 2"),
        run("study-tables", "study tables SHARED/one.csv SHARED/two.csv --property P1,P2"
            " --permutations 5 --bootstrap 5 --html {}/o.html --threads 2"),
        run("study-tables-requests", "study tables SHARED/one.csv SHARED/two.csv --property P3"
            " --requests {}/o.jsonl"),
    ]


def learning_runs():
    experts = ("base_model: SHARED/dense0\nexperts:\n"
               "- {source_model: SHARED/dense0, positive_prompts: [ab]}\n"
               "- {source_model: SHARED/dense1, positive_prompts: [b]}\n")
    data = "--data SHARED/images"
    networks = "SHARED/a.safetensors SHARED/b.safetensors"
    prune = "{method: soup, sparsity: 0.5, phases: 1, copies: 2, retrain: {epochs: 1}}"
    study = ("tasks: [{set: SHARED/images, name: one}, {set: SHARED/images, corrupt: noise=0.2}]\n"
             "held_out: [{set: SHARED/images, corrupt: invert}]\ncounts: [1]\nsettings:\n"
             "- {base: strong, size: 8, seed: 1, model: SHARED/base.safetensors,"
             " experts: [SHARED/a.safetensors, SHARED/b.safetensors]}\n")
    runs = [
        run("train", "train SHARED/recipe.yml -o {}/o.safetensors --quiet", resumes=True),
        run("train-table", "train {}/recipe.yml -o {}/o.safetensors --json",
            files={"recipe.yml": "network: {architecture: mlp, hidden: [4]}\nepochs: 1\nbatch: 16\n"
                                 "data: {set: SHARED/rows.csv, label: kind, ignore: [bag]}\n"}),
        run("train-pruned", "train {}/recipe.yml --init SHARED/base.safetensors --quiet"
            " -o {}/o.safetensors", resumes=True,
            files={"recipe.yml": "data: {set: SHARED/images}\nepochs: 1\nbatch: 64\n"
                                 f"prune: {prune}\n"}),
        run("evaluate", f"evaluate {networks} {data} --ensemble --json"),
        run("fisher", f"fisher SHARED/a.safetensors {data} -o {{}}/o.safetensors"),
        run("gram", f"gram SHARED/a.safetensors {data} -o {{}}/o.safetensors"),
        run("calibrate", f"calibrate SHARED/norm.safetensors {data} -o {{}}/o.safetensors"),
        run("merge-greedy", f"merge -m greedy_soup {networks} {data} -o {{}}/o.safetensors"),
        run("merge-search", f"merge -m ties -b SHARED/base.safetensors {networks} {data} -p"
            " density=0.5 --search weight=0:1:0.5 -o {}/o.safetensors"),
        run("merge-adamerging", f"merge -m adamerging -b SHARED/base.safetensors {networks} {data}"
            " -p steps=2 -o {}/o.safetensors"),
        run("moe-hidden", "moe {}/recipe.yml -o {}/o --quiet", files={"recipe.yml": experts}),
        run("label-autows", "label autows SHARED/rows.csv --label kind --ignore bag --labelled 20"
            " --rounds 2 --methods few-shot,snuba --end-model --out {}/l.csv --soft {}/s.csv"),
        run("label-bags-network", "label bags fit SHARED/rows.csv --bag bag --response y --ignore"
            " kind --hidden 4 --epochs 2 --out {}/o.safetensors --predict SHARED/rows.csv"
            " --predictions {}/p.csv"),
        run("study-interpolation", f"study interpolation {networks} {data} --steps 2 --json"),
        run("study-soup", f"study soup SHARED/base.safetensors {networks} {data} --json"),
        run("study-merging", "study merging {}/study.yml --json", files={"study.yml": study}),
        run("study-tables-trained", "study tables SHARED/one.csv SHARED/two.csv --encoder trained"
            " --property P1 --permutations 5 --bootstrap 5 --steps 2 --html {}/o.html"),
        run("reproduce", "reproduce aggregate-responses --quick --seeds 1 --report {}/reports"
            " --cache {}/cache --quiet"),
        run("report", "report --test SHARED/test.json --shifted SHARED/test.json --commands"
            " SHARED/texts.csv -o {}/o.html --svg {}/o.svg"),
    ]
    for one in runs:
        one.learns = True
        if one.name not in ("report",):
            one.words += ["--threads", "1"]
    return runs


def make_shared(program, folder, learns):
    """What all runs read."""
    def amalgam(words):
        words = words.replace("SHARED", str(folder)).split()
        return subprocess.run([program, *words], check=True, capture_output=True, text=True).stdout

    folder.mkdir()
    for seed in range(3):
        inputs.write_model(folder / f"{seed}.safetensors", seed)
    inputs.write_dense(folder / "dense0", 0)
    inputs.write_dense(folder / "dense1", 1)
    inputs.write_dense(folder / "dense2", 2, ("b", "a", "ab", "c"))
    inputs.write_dense(folder / "dense3", 3)
    inputs.write_images(folder / "images")
    inputs.write_label_files(folder)
    inputs.write_score_files(folder)
    inputs.write_study_files(folder)
    inputs.write_shared_data(folder)
    shutil.copy(TORCH_ARCHIVE, folder / "archive.pt")
    amalgam("convert SHARED/0.safetensors SHARED/0.gguf --dtype q8_0")
    amalgam("convert SHARED/0.safetensors SHARED/sharded --shard-size 100kB")
    for tuned in (1, 3):
        amalgam(f"lora extract SHARED/dense0 SHARED/dense{tuned}"
                f" SHARED/adapter{tuned} --rank 4")
    if not learns:
        return
    for name, network in (("recipe", "{architecture: mlp, hidden: [8]}"),
                          ("norm", "{architecture: resnet, width: 2, blocks: [1]}")):
        (folder / f"{name}.yml").write_text(
            f"network: {network}\ndata: {{set: {folder}/images}}\nepochs: 1\nbatch: 32\n")
    amalgam("train SHARED/recipe.yml -o SHARED/base.safetensors")
    amalgam("train SHARED/norm.yml -o SHARED/norm.safetensors")
    for name, seed in (("a", 1), ("b", 2)):
        amalgam(f"train SHARED/recipe.yml --init SHARED/base.safetensors --seed {seed}"
                f" -o SHARED/{name}.safetensors")
    (folder / "test.json").write_text(amalgam(
        "evaluate SHARED/base.safetensors SHARED/a.safetensors SHARED/b.safetensors --reference"
        " SHARED/base.safetensors --data SHARED/images --ensemble --json"))


def has_learning(program):
    return subprocess.run([program, "train", "--help"], capture_output=True).returncode == 0


def all_runs():
    return weight_runs() + label_runs() + rank_runs() + study_runs() + learning_runs()


def make_inputs(program, run, work):
    """Makes the folder of a run and gives its words."""
    folder, shared = work / run.name, str(work / "shared")
    folder.mkdir()
    for name, text in run.files.items():
        (folder / name).write_text(text.replace("SHARED", shared))
    for words in run.prepare:
        words = words.replace("SHARED", shared).replace("{}", str(folder)).split()
        subprocess.run([program, *words], check=True, capture_output=True)
    return [word.replace("SHARED", shared) for word in run.words]


def listed_commands(program, words=()):
    """The commands that --help lists, without those that have others below them alone."""
    text = subprocess.run([program, *words, "--help"], capture_output=True, text=True).stdout
    usage = next((line for line in text.splitlines() if line.startswith("Usage:")), None)
    if usage is None:
        return set()  # what this build lacks
    below = text.partition("\nSubcommands:\n")[2].partition("\n\n")[0]
    names = [line.split()[0] for line in below.splitlines() if line.startswith("  ")
             and not line.startswith("   ")]
    found = {command for name in names for command in listed_commands(program, (*words, name))}
    if not names or "[SUBCOMMAND]" in usage:
        found.add(" ".join(words))
    return found


def runs_of_all(program):
    """The runs of every command of this build. A command without one is a mistake."""
    listed, learns = listed_commands(program) - WITHOUT_FILES, has_learning(program)
    listed |= {"report"} if learns else set()  # the demo's, which --help does not list
    runs, tested = [], set()
    for run in all_runs():
        commands = {name for name in listed if run.words[:len(name.split())] == name.split()}
        tested |= commands
        if commands and (learns or not run.learns):
            runs.append(run)
    assert tested == listed, f"no run with faults of: {sorted(listed - tested)}"
    return runs


def memory_folder():
    """In memory, where it can be: flushing thousands of times to a device takes minutes."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
