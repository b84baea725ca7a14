#!/bin/sh
# Installs the Debian packages that are missing. Needs root or sudo; without either it says what to
# install and ends with 1. Usage: install_dependencies.sh [build|demo|dev]...
set -eu

# libzip's CMake package refuses to be found without its three programs.
build="make cmake ninja-build clang-16 ccache pkg-config
  libtorch-dev libeigen3-dev libopenblas-dev libhwy-dev libtbb-dev libboost-math-dev libxxhash-dev libssl-dev
  nlohmann-json3-dev libyaml-cpp-dev libsqlite3-dev libpcre2-dev libutf8proc-dev
  coinor-libcbc-dev coinor-libclp-dev libopenmpi-dev openmpi-bin libcli11-dev libfmt-dev libspdlog-dev libzip-dev zlib1g-dev
  libjpeg62-turbo-dev
  zipcmp zipmerge ziptool
  libgtest-dev libgmock-dev librapidcheck-dev libbenchmark-dev
  python3 python3-numpy"
demo="dataset-fashion-mnist"
# What CI needs besides: sanitizers' runtimes, the linter, GNU time.
dev="libclang-rt-16-dev clang-tidy-16 clang-format-16 time"

wanted=""
for group in "${@:-build}"; do
  case "$group" in
    build) wanted="$wanted $build" ;;
    demo) wanted="$wanted $demo" ;;
    dev) wanted="$wanted $dev" ;;
    *) echo "install_dependencies.sh: no group '$group'; expected build, demo or dev" >&2; exit 2 ;;
  esac
done

missing=""
for package in $wanted; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
    missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
  sudo=""
elif command -v sudo >/dev/null 2>&1; then
  sudo="sudo"
else
  echo "These Debian packages are missing; as root, run:" >&2
  echo "  apt-get install --no-install-recommends$missing" >&2
  exit 1
fi
echo "installing:$missing"
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
