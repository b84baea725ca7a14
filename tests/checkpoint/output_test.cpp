#include "amalgam/checkpoint/output.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "amalgam/core/error.hpp"
#include "tests/checkpoint/temporary_folder.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

void write_into(const fs::path& path, std::string_view contents) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << contents;
}

// All files below a folder, hidden ones too, and their contents.
std::map<std::string, std::string> tree(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = fs::relative(entry.path(), folder).string();
    files[name] = entry.is_directory() ? "<folder>" : contents_of(entry.path());
  }
  return files;
}
using Tree = std::map<std::string, std::string>;

TEST(Output, AppearsOnlyWhenCommitted) {
  const TemporaryFolder folder;
  {
    OutputTransaction output(folder / "out", {});
    EXPECT_EQ(output.work_path(), folder / ".out.partial");
    write_into(output.work_path() / "sub/model.safetensors", "new");
    EXPECT_FALSE(fs::exists(folder / "out"));
    output.commit();
    EXPECT_EQ(
        tree(folder.path()),
        (Tree{{"out", "<folder>"}, {"out/sub", "<folder>"}, {"out/sub/model.safetensors", "new"}}));
  }
  EXPECT_TRUE(fs::exists(folder / "out/sub/model.safetensors"));
}

TEST(Output, OfOneFileIsThatFile) {
  const TemporaryFolder folder;
  for (const char* name : {"w.safetensors", "w.gguf"}) {
    OutputTransaction output(folder / name, {});
    EXPECT_EQ(output.work_path().parent_path(), output.partial_path());
    write_into(output.work_path(), "new");
    EXPECT_FALSE(fs::exists(folder / name));
    output.commit();
  }
  EXPECT_EQ(tree(folder.path()), (Tree{{"w.gguf", "new"}, {"w.safetensors", "new"}}));
}

TEST(Output, VanishesWithoutCommit) {
  const TemporaryFolder folder;
  try {
    const OutputTransaction output(folder / "out", {});
    write_into(output.work_path() / "a", "half");
    throw Interrupted();
  } catch (const Interrupted&) {
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Output, IsKeptUnfinishedOnRequest) {
  const TemporaryFolder folder;
  {
    const OutputTransaction output(folder / "out", {.keep_partial = true});
    write_into(output.work_path() / "a", "half");
  }
  EXPECT_EQ(tree(folder.path()), (Tree{{".out.partial", "<folder>"}, {".out.partial/a", "half"}}));
}

TEST(Output, DoesNotReplaceWhatExists) {
  const TemporaryFolder folder;
  folder.write("out/model.safetensors", "old");
  folder.write("w.gguf", "old");
  for (const char* name : {"out", "out/", "w.gguf"}) {
    expect_error<InputError>([&] { const OutputTransaction output(folder / name, {}); },
                             "already exists", "--overwrite");
  }
  fs::create_symlink("nowhere", folder / "dangling");
  EXPECT_THROW(OutputTransaction(folder / "dangling", {}), InputError);
  EXPECT_EQ(contents_of(folder / "out/model.safetensors"), "old");
}

TEST(Output, ReplacesAFolderInOneStep) {
  const TemporaryFolder folder;
  folder.write("out/model.safetensors", "old");
  folder.write("out/tokenizer.json", "old");
  OutputTransaction output(folder / "out", {.overwrite = true});
  write_into(output.work_path() / "model.safetensors", "new");
  EXPECT_EQ(contents_of(folder / "out/model.safetensors"), "old");
  output.commit();
  EXPECT_EQ(tree(folder.path()), (Tree{{"out", "<folder>"}, {"out/model.safetensors", "new"}}));
}

TEST(Output, ReplacesAFile) {
  const TemporaryFolder folder;
  folder.write("w.safetensors", "old");
  OutputTransaction output(folder / "w.safetensors", {.overwrite = true});
  write_into(output.work_path(), "new");
  output.commit();
  EXPECT_EQ(tree(folder.path()), (Tree{{"w.safetensors", "new"}}));
}

TEST(Output, WithOverwriteLeavesTheOldOneUntilTheEnd) {
  const TemporaryFolder folder;
  folder.write("out/model.safetensors", "old");
  {
    const OutputTransaction output(folder / "out", {.overwrite = true});
    write_into(output.work_path() / "model.safetensors", "half");
  }
  EXPECT_EQ(tree(folder.path()), (Tree{{"out", "<folder>"}, {"out/model.safetensors", "old"}}));
}

TEST(Output, DoesNotDeleteWhatIsNoCheckpoint) {
  const TemporaryFolder folder;
  folder.write("home/letter.txt", "dear");
  folder.write("file", "x");
  fs::create_directories(folder / "dir.gguf/x");
  const auto begin = [&](const char* name) {
    const OutputTransaction output(folder / name, {.overwrite = true});
  };
  expect_error<InputError>([&] { begin("home"); }, "home", "holds 'letter.txt'");
  folder.write("mixed/model.safetensors", "weights");
  folder.write("mixed/other/best.safetensors", "weights");
  expect_error<InputError>([&] { begin("mixed"); }, "mixed", "holds 'other'");
  folder.write("config/config.json", "{}");
  expect_error<InputError>([&] { begin("config"); }, "holds files but no checkpoint");
  expect_error<InputError>([&] { begin("file"); }, "is a file, but the output is a folder");
  expect_error<InputError>([&] { begin("dir.gguf"); }, "is a folder, but the output is a file");
  expect_error<InputError>([&] { const OutputTransaction root("/", {.overwrite = true}); }, "'/'");
  fs::create_directory(folder / "empty");
  EXPECT_NO_THROW(begin("empty"));
  EXPECT_EQ(contents_of(folder / "home/letter.txt"), "dear");
}

// A sentence-transformers model is a folder of folders: what its modules.json names goes with it.
TEST(Output, ReplacesFoldersOfModulesButNoOthers) {
  const TemporaryFolder folder;
  const auto begin = [&] { const OutputTransaction output(folder / "m", {.overwrite = true}); };
  folder.write("m/model.safetensors", "weights");
  folder.write("m/modules.json", R"([{"path": ""}, {"path": "1_Pooling"}, {"path": ".."}])");
  folder.write("m/1_Pooling/config.json", "{}");
  folder.write("m/1_Pooling/model.safetensors", "weights");
  EXPECT_NO_THROW(begin());
  folder.write("m/2_Other/config.json", "{}");
  expect_error<InputError>(begin, "holds '2_Other'");
  fs::remove_all(folder / "m/2_Other");
  folder.write("m/1_Pooling/letter.txt", "dear");
  expect_error<InputError>(begin, "holds '1_Pooling'");
  fs::remove(folder / "m/1_Pooling/letter.txt");
  folder.write("m/1_Pooling/more/config.json", "{}");
  expect_error<InputError>(begin, "holds '1_Pooling'");
}

// The old output is no input.
TEST(Output, SaysNothingOfTheModulesOfWhatItReplaces) {
  const TemporaryFolder folder;
  folder.write("m/model.safetensors", "weights");
  for (const char* modules : {R"([{"path": "1_Missing"}, {"path": ".."}])", "[{", "{}"}) {
    folder.write("m/modules.json", modules);
    ::testing::internal::CaptureStderr();
    EXPECT_NO_THROW({ const OutputTransaction output(folder / "m", {.overwrite = true}); });
    EXPECT_EQ(::testing::internal::GetCapturedStderr(), "") << modules;
  }
}

TEST(Output, ReplacesChatTemplatesAndLicencesButNothingAmongThem) {
  const TemporaryFolder folder;
  const auto begin = [&] { const OutputTransaction output(folder / "m", {.overwrite = true}); };
  folder.write("m/model.safetensors", "weights");
  for (const char* name : {"LICENSE", "licence.txt", "NOTICE", "USE_POLICY.md"}) {
    folder.write(std::string("m/") + name, "terms");
  }
  folder.write("m/additional_chat_templates/rag.jinja", "{{ x }}");
  EXPECT_NO_THROW(begin());
  folder.write("m/additional_chat_templates/letter.txt", "dear");
  expect_error<InputError>(begin, "holds 'additional_chat_templates'");
}

TEST(Output, ReplacesNoFolderThatHoldsTheWorkingDirectory) {
  const fs::path here = fs::current_path();
  expect_error<InputError>([&] { const OutputTransaction output(here, {.overwrite = true}); },
                           "working directory");
  expect_error<InputError>(
      [&] { const OutputTransaction output(here.parent_path(), {.overwrite = true}); },
      "working directory");
}

TEST(Output, AFailedRunLeavesNoNewParents) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "old");
  { const OutputTransaction output(folder / "old/new/deep/out", {}); }
  EXPECT_TRUE(fs::exists(folder / "old"));
  EXPECT_FALSE(fs::exists(folder / "old/new"));
}

TEST(Output, NamesOfFormatsThatAreNotWrittenAreRefused) {
  for (const char* name : {"a.pt", "a.bin", "a.GGUF"}) {
    expect_error<InputError>([&] { (void)output_is_file(name); }, name, ".safetensors or .gguf");
  }
}

TEST(Output, AnInputIsNoOutputAsNamedOrAsLinksLead) {
  const TemporaryFolder folder;
  folder.write("real/model.safetensors", "x");
  fs::create_directory(folder / "out");
  fs::create_symlink(folder / "real", folder / "out/link");
  for (const fs::path& output :
       {folder / "real", folder / "real/model.safetensors", folder / "out", folder / "real/new"}) {
    expect_error<InputError>([&] { check_output_is_no_input({folder / "out/link"}, output); },
                             "the output is also an input");
  }
  EXPECT_NO_THROW(check_output_is_no_input({folder / "real", folder / "none"}, folder / "new"));
}

TEST(Output, ReplacesTheTargetOfALink) {
  const TemporaryFolder folder;
  folder.write("real/model.gguf", "old");
  fs::create_symlink("real", folder / "link");
  OutputTransaction output(folder / "link", {.overwrite = true});
  write_into(output.work_path() / "model.gguf", "new");
  output.commit();
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_EQ(contents_of(folder / "real/model.gguf"), "new");
}

TEST(Output, BelongsToOneRunAtATime) {
  const TemporaryFolder folder;
  const OutputTransaction first(folder / "out", {});
  write_into(first.work_path() / "a", "mine");
  expect_error<InputError>([&] { const OutputTransaction second(folder / "out", {}); },
                           "another run is writing this output", ".out.partial");
  EXPECT_EQ(contents_of(first.work_path() / "a"), "mine");
  EXPECT_NO_THROW(OutputTransaction(folder / "other", {}));
}

TEST(Output, MakesMissingParents) {
  const TemporaryFolder folder;
  OutputTransaction output(folder / "a/b/out", {});
  write_into(output.work_path() / "x", "new");
  output.commit();
  EXPECT_EQ(contents_of(folder / "a/b/out/x"), "new");
}

TEST(Output, SaysWhatIsInTheWay) {
  const TemporaryFolder folder;
  folder.write(".out.partial", "a file");
  expect_error<InputError>([&] { const OutputTransaction output(folder / "out", {}); },
                           ".out.partial", "in the way");
  folder.write("file", "x");
  expect_error<InputError>([&] { const OutputTransaction output(folder / "file/out", {}); },
                           "file/out");
}

TEST(Output, NeverReplacesWhatAppearedMeanwhile) {
  const TemporaryFolder folder;
  OutputTransaction output(folder / "out", {});
  write_into(output.work_path() / "x", "mine");
  folder.write("out/x", "theirs");
  expect_error<InputError>([&] { output.commit(); }, "exist");
  EXPECT_EQ(contents_of(folder / "out/x"), "theirs");
}

TEST(Output, IsCommittedOnce) {
  const TemporaryFolder folder;
  OutputTransaction output(folder / "out", {});
  output.commit();
  EXPECT_THROW(output.commit(), Error);
}

// Runs `work` in a process of its own that then dies as by kill -9: no destructor runs.
template <class Work>
void run_and_die(const Work& work) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    try {
      work();
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(77);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  ASSERT_EQ(WEXITSTATUS(status), 77);
}

TEST(Output, OfACrashedRunLeavesTheFinalPlaceUntouched) {
  const TemporaryFolder folder;
  folder.write("old/model.safetensors", "old");
  for (const char* name : {"new", "old"}) {
    run_and_die([&] {
      const OutputTransaction output(folder / name, {.overwrite = true});
      write_into(output.work_path() / "model.safetensors", "half");
      write_into(output.work_path() / "sub/more", "half");
      ::_exit(77);
    });
  }
  EXPECT_FALSE(fs::exists(folder / "new"));
  EXPECT_EQ(contents_of(folder / "old/model.safetensors"), "old");
  EXPECT_TRUE(fs::exists(folder / ".new.partial/sub/more"));

  // The next run reports and replaces what the crashed one left.
  testing::internal::CaptureStderr();
  OutputTransaction output(folder / "new", {});
  EXPECT_NE(testing::internal::GetCapturedStderr().find("unfinished output of an earlier run"),
            std::string::npos);
  EXPECT_TRUE(fs::is_empty(output.work_path()));
  write_into(output.work_path() / "model.safetensors", "whole");
  output.commit();
  EXPECT_EQ(tree(folder / "new"), (Tree{{"model.safetensors", "whole"}}));
}

TEST(Output, OfARunThatDiesAfterCommitIsThere) {
  const TemporaryFolder folder;
  folder.write("out/model.safetensors", "old");
  run_and_die([&] {
    OutputTransaction output(folder / "out", {.overwrite = true});
    write_into(output.work_path() / "model.safetensors", "new");
    output.commit();
    ::_exit(77);
  });
  EXPECT_EQ(tree(folder.path()), (Tree{{"out", "<folder>"}, {"out/model.safetensors", "new"}}));
}

TEST(CheckFreeSpace, NamesNeededAndFreeBytes) {
  const TemporaryFolder folder;
  EXPECT_NO_THROW(check_free_space(folder / "out", 1));
  expect_error<Error>([&] { check_free_space(folder / "out", std::uint64_t{1} << 60); },
                      "out: ", "not enough free space", "needed", "free");
}

}  // namespace
}  // namespace amalgam
