// What `amalgam verify --input OLD=NEW` promises: inputs are hashed and read where they lie now.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/cli/merge_fixture.hpp"
#include "tests/cli/token_model_fixture.hpp"
#include "tests/weights/moe_fixture.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

using Words = std::vector<std::string>;

RunResult run_well(const Words& words) {
  RunResult result = run_amalgam(words);
  EXPECT_EQ(result.code, 0) << result.out << result.err;
  return result;
}

// Everything that can be checked of `out`, with these moves.
Words verify(const std::string& out, const Words& moves) {
  Words words = {"verify", out, "--inputs", "--recompute", "1000", "--json", "--quiet"};
  for (const std::string& move : moves) words.insert(words.end(), {"--input", move});
  return words;
}

void expect_found(const Words& words, const std::string& text) {
  const RunResult result = run_amalgam(words);
  EXPECT_EQ(result.code, 1) << result.err;
  EXPECT_NE(result.out.find(text), std::string::npos) << result.out << result.err;
}

// Base and members of the fixture, merged where they were and then moved to other folders.
class MovedInputs : public MergeFixture {
 protected:
  MovedInputs() {
    for (const char* folder : {"old/a", "old/ab", "new", "newer"}) {
      fs::create_directories(folder_ / folder);
    }
    fs::rename(base_, path("old/base.safetensors"));
    fs::rename(a_, path("old/a/m.safetensors"));
    fs::rename(b_, path("old/ab/m.safetensors"));
    run_well({"merge", "-m", "ties", "-b", path("old/base.safetensors"),
              path("old/a/m.safetensors"), path("old/ab/m.safetensors"), "-p", "weight=1", "-p",
              "density=0.5", "-o", out(), "--manifest"});
  }
  std::string move(const std::string& from, const std::string& to) const {
    return path(from) + "=" + path(to);
  }
};

TEST_F(MovedInputs, AreHashedAndReadWhereTheirFolderLiesNow) {
  fs::rename(path("old"), path("new/all"));
  EXPECT_EQ(run_amalgam(verify(out(), {})).code, 2);
  const RunResult good = run_well(verify(out(), {move("old", "new/all")}));
  EXPECT_EQ(good.json()["inputs"], 3);
  EXPECT_EQ(good.json()["recomputed"], 5);
  run_well(verify(out(), {path("old") + "/=" + path("new") + "/all/"}));
  run_well({"verify", out(), "--inputs", "--input", move("old", "new/all")});
  run_well({"verify", out(), "--recompute", "5", "--input", move("old", "new/all")});
  // Another file in the place of one of them.
  fs::copy_file(path("new/all/a/m.safetensors"), path("new/all/ab/m.safetensors"),
                fs::copy_options::overwrite_existing);
  expect_found({"verify", out(), "--inputs", "--input", move("old", "new/all")},
               "new/all/ab/m.safetensors: is not the file that was merged");
  expect_found(
      {"verify", out(), "--no-hash", "--recompute", "5", "--input", move("old", "new/all")},
      "is not what its recipe gives");
}

TEST_F(MovedInputs, TheLongestNameThatFitsHolds) {
  fs::rename(path("old/base.safetensors"), path("new/base.safetensors"));
  fs::rename(path("old/a/m.safetensors"), path("newer/other name=1.safetensors"));
  fs::rename(path("old/ab"), path("new/ab"));
  run_well(verify(
      out(), {move("old", "new"), move("old/a/m.safetensors", "newer/other name=1.safetensors")}));
  run_well(verify(
      out(), {move("old/a/m.safetensors", "newer/other name=1.safetensors"), move("old", "new")}));
  // "old/a" is no folder of "old/ab/m.safetensors".
  fs::create_directories(path("third"));
  fs::rename(path("newer/other name=1.safetensors"), path("third/m.safetensors"));
  run_well(verify(out(), {move("old", "new"), move("old/a", "third")}));
}

TEST_F(MovedInputs, RefusesWhatIsNoInputAndListsThoseThereAre) {
  const auto refused = [&](const Words& moves, const auto&... parts) {
    expect_bad_usage(run_amalgam(verify(out(), moves)), parts...);
  };
  refused({move("olden", "new")}, "'" + path("olden") + "' is no input of " + out() + ".manifest",
          "'" + path("old/a/m.safetensors") + "', '" + path("old/ab/m.safetensors") + "', '" +
              path("old/base.safetensors") + "'");
  refused({move("old/base.safetensors/x", "new")}, "is no input of");
  refused({"old/base.safetensors=" + path("old/base.safetensors")}, "is no input of");
  refused({path("old")}, "expected OLD=NEW");
  refused({path("old") + "="}, "expected OLD=NEW");
  refused({"=" + path("new")}, "expected OLD=NEW");
  refused({move("old", "missing")}, "missing' is not there; expected a folder");
  refused({move("old", "old/base.safetensors")}, "is no folder; expected a folder");
  refused({move("old/base.safetensors", "new")}, "new' is no file; expected a file");
  refused({move("old", "new"), move("old/", "newer")}, "is given twice");
  expect_bad_usage(run_amalgam({"verify", out(), "--input", move("old", "new")}),
                   "--input says where inputs lie, but none is read");
}

TEST_F(MovedInputs, NamesMayHaveEqualSigns) {
  fs::create_directories(path("lr=0.1/x"));
  fs::rename(path("old/a/m.safetensors"), path("lr=0.1/x/m.safetensors"));
  run_well({"merge", "-m", "linear", path("lr=0.1/x/m.safetensors"), path("old/base.safetensors"),
            "-p", "weight=1", "-o", path("mean.safetensors"), "--manifest"});
  fs::rename(path("lr=0.1"), path("new/lr=0.1"));
  run_well(verify(path("mean.safetensors"), {move("lr=0.1", "new/lr=0.1")}));
  // Two ways to read it.
  fs::create_directories(path("lr"));
  fs::rename(path("new/lr=0.1"), path("lr=0.1"));
  fs::rename(path("old/base.safetensors"), path("lr/m.safetensors"));
  run_well({"merge", "-m", "linear", path("lr=0.1/x/m.safetensors"), path("lr/m.safetensors"), "-p",
            "weight=1", "-o", path("mean.safetensors"), "--manifest", "--overwrite"});
  expect_bad_usage(
      run_amalgam(verify(path("mean.safetensors"), {path("lr") + "=0.1=" + path("new")})),
      "can be read as");
}

TEST_F(MovedInputs, CheckpointsThatParametersNameAreAmongThem) {
  for (const char* name : {"f", "g"}) {
    std::vector<MemoryTensor> fisher = model(7);
    for (MemoryTensor& one : fisher) {
      one = make_tensor(one.info.name, one.info.shape,
                        std::vector<double>(one.info.elements, name[0] == 'f' ? 1.0 : 3.0));
    }
    write(name, fisher);
  }
  const std::string recipe =
      folder_
          .write("recipe.yml",
                 "merge_method: fisher\nmodels:\n- model: " + path("old/a/m.safetensors") +
                     "\n  parameters: {fisher: " + path("f.safetensors") +
                     "}\n- model: " + path("old/ab/m.safetensors") +
                     "\n  parameters: {fisher: " + path("g.safetensors") + "}\n")
          .string();
  run_well({"merge", recipe, "-o", path("f-out.safetensors"), "--manifest"});
  fs::rename(path("f.safetensors"), path("new/f.safetensors"));
  EXPECT_EQ(run_amalgam(verify(path("f-out.safetensors"), {})).code, 2);
  const Words moves = {move("f.safetensors", "new/f.safetensors")};
  EXPECT_EQ(run_well(verify(path("f-out.safetensors"), moves)).json()["inputs"], 4);
  fs::rename(path("g.safetensors"), path("new/g+1.safetensors"));
  expect_bad_usage(run_amalgam(verify(path("f-out.safetensors"),
                                      {moves[0], move("g.safetensors", "new/g+1.safetensors")})),
                   "has a '+' in its path");
}

TEST_F(MovedInputs, SlicesAndModulesAreAmongThem) {
  const auto merged = [&](const std::string& yaml) {
    const std::string recipe = folder_.write("recipe.yml", yaml).string();
    run_well({"merge", recipe, "-o", out(), "--manifest", "--overwrite"});
    fs::rename(path("old"), path("new/all"));
    run_well(verify(out(), {move("old", "new/all")}));
    fs::rename(path("new/all"), path("old"));
  };
  const std::string a = path("old/a/m.safetensors");
  const std::string b = path("old/ab/m.safetensors");
  merged("merge_method: passthrough\nslices:\n- sources: [{model: " + a +
         ", layer_range: [0, 1]}]\n- sources: [{model: " + b + ", layer_range: [0, 2]}]\n");
  merged(
      "merge_method: linear\nparameters: {weight: 1}\nmodules:\n  layers:\n    models: [{model: " +
      a + "}, {model: " + b + "}]\n  default:\n    models: [{model: " + b + "}]\n");
}

// Folders with config and tokenizer, and adapters on the base.
class MovedModels : public TokenModelFixture {
 protected:
  std::string write_adapter(const std::string& name) const {
    folder_.write(
        name + "/adapter_config.json",
        R"({"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["lm_head"]})");
    write_safetensors(folder_ / (name + "/adapter_model.safetensors"),
                      {make_tensor("base_model.model.lm_head.lora_A.weight", {1, 2}, {1, 1}),
                       make_tensor("base_model.model.lm_head.lora_B.weight", {2, 1}, {1, 2})});
    return path(name);
  }
};

TEST_F(MovedModels, AdaptersAndTokenizersAreAmongThem) {
  const std::string base = write("old/base", {{"a", "b"}, 0});
  const std::string tuned = write("old/tuned", {{"b", "c"}, 50});
  const std::string adapter = write_adapter("adapters/x");
  const std::string both = base + "+" + adapter;
  run_well({"merge",
            recipe("merge_method: linear\nparameters: {weight: 1}\nmodels:\n- model: " + both +
                   "\n- model: " + tuned + "\ntokenizer:\n  source: " + tuned +
                   "\n  tokens:\n    a: {source: " + both + ", force: true}\n"),
            "-o", path("out"), "--manifest"});
  fs::create_directories(path("moved"));
  fs::rename(path("old"), path("moved/models"));
  fs::rename(path("adapters"), path("moved/adapters"));
  const std::string models = path("old") + "=" + path("moved/models");
  const std::string adapters = path("adapters") + "=" + path("moved/adapters");
  const RunResult good = run_well(verify(path("out"), {models, adapters}));
  EXPECT_EQ(good.json()["inputs"], 2 * 4 + 2);
  EXPECT_EQ(run_amalgam(verify(path("out"), {models})).code, 2);
  EXPECT_EQ(run_amalgam(verify(path("out"), {adapters})).code, 2);
  // A tokenizer is an input as any other.
  folder_.write("moved/models/tuned/tokenizer.json", tokenizer_json({"c", "b"}).dump());
  expect_found({"verify", path("out"), "--inputs", "--input", models, "--input", adapters},
               "moved/models/tuned/tokenizer.json: is not the file that was merged");
}

TEST_F(MovedModels, AdaptersOnAdaptersAreInputsToo) {
  const std::string base = write("old/base", {{"a", "b"}, 0});
  const std::string both =
      base + "+" + write_adapter("adapters/x") + "+" + write_adapter("adapters/y");
  run_well(
      {"merge", "-m", "linear", both, base, "-p", "weight=1", "-o", path("out"), "--manifest"});
  fs::create_directories(path("moved"));
  fs::rename(path("old"), path("moved/models"));
  fs::rename(path("adapters"), path("moved/adapters"));
  const RunResult good =
      run_well(verify(path("out"), {path("old") + "=" + path("moved/models"),
                                    path("adapters") + "=" + path("moved/adapters")}));
  EXPECT_EQ(good.json()["inputs"], 4 + 2 * 2);
}

TEST_F(MovedModels, TheFilesOfAFolderGoTogether) {
  const std::string base = write("old/base", {{"a", "b"}, 0});
  const std::string tuned = write("old/tuned", {{"a", "b"}, 50});
  run_well(
      {"merge", "-m", "linear", base, tuned, "-p", "weight=1", "-o", path("out"), "--manifest"});
  fs::create_directories(path("moved"));
  fs::rename(path("old/base/model.safetensors"), path("moved/model.safetensors"));
  const std::string alone = base + "/model.safetensors=" + path("moved/model.safetensors");
  run_well({"verify", path("out"), "--inputs", "--input", alone});
  expect_bad_usage(run_amalgam({"verify", path("out"), "--recompute", "3", "--input", alone}),
                   "is read as one folder; expected '" + base + "=FOLDER'");
}

// The base of a mixture is run again where its routers are made of hidden states.
class MovedExperts : public MoeFixture {
 protected:
  void expect_moved(const std::string& gates) const {
    write("old/base", dense(0));
    write("old/a", dense(1));
    write("old/b", dense(2));
    write_tokenizer("old/base");
    const std::string recipe =
        write_recipe("base_model: " + path("old/base") + "\ngate_mode: " + gates + "\nexperts:\n" +
                     "- {source_model: " + path("old/a") +
                     ", positive_prompts: [abc]}\n- {source_model: " + path("old/b") +
                     ", positive_prompts: [a, b]}\n");
    const RunResult made = run_amalgam({"moe", recipe, "-o", path("out"), "--manifest"});
    if (made.code == 2 && made.err.find("learning library") != std::string::npos) {
      GTEST_SKIP() << "this build has no learning library";
    }
    ASSERT_EQ(made.code, 0) << made.err;
    fs::rename(path("old"), path("new"));
    EXPECT_EQ(run_amalgam(verify(path("out"), {})).code, 2);
    const RunResult good = run_well(verify(path("out"), {path("old") + "=" + path("new")}));
    EXPECT_EQ(good.json()["inputs"], 3 * 2 + 2);
    EXPECT_EQ(good.json()["recomputed"], 29);
  }
};

TEST_F(MovedExperts, AreAmongThem) { expect_moved("cheap_embed"); }

TEST_F(MovedExperts, AndTheBaseWhoseHiddenStatesMakeTheRouters) { expect_moved("hidden"); }

}  // namespace
}  // namespace amalgam
