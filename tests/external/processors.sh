#!/usr/bin/env bash
# Other processors than this one: the kernels' tests at every instruction set that it has, then the
# binary on emulated processors without AVX-512, and without AVX at all.
#
#   tests/external/processors.sh [emulated]      (only the second part)
#
# Needs `qemu-x86_64` (Debian and Ubuntu: apt-get install qemu-user). A minute after the tests are built.
set -euo pipefail
cd "$(dirname "$0")/../.."
conjoin="${CARGO_TARGET_DIR:-$PWD/target}/release/conjoin"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if [[ ${1:-} != emulated ]]; then
  tests=(--test numerics --test attention_memory)
  # The tests inside the kernels' own files, without those of the other crates.
  units=$(cargo test --release --locked --lib --no-run 2>&1 \
    | sed -n 's/.*Executable.*(\(.*conjoin_kernels-.*\))/\1/p')
  [[ -x $units ]] || { echo "no unit tests of the kernels" >&2; exit 1; }
  for level in plain avx2 avx512-nobf16 avx512-noamx avx512; do
    flag=${level/avx512*/avx512f}
    if [[ $level != plain ]] && ! grep -qw "$flag" /proc/cpuinfo; then
      printf '== %s: this processor has no such instructions\n' "$level"
      continue
    fi
    printf '== %s: tests of the kernels\n' "$level"
    CONJOIN_SIMD=$level cargo test --release --locked "${tests[@]}"
    CONJOIN_SIMD=$level "$units"
  done
fi

cargo build --release --locked
# One step of a few words: an emulated step is some hundred times slower.
short=(--stage joint --set stages.joint.epochs=0.000005 --set stages.joint.evaluate.batches=1
  --set data.train.loader.batch.tokens=40 --set data.spellings.loader.batch.tokens=40
  --set data.valid.source.limit=1 --set data.test.source.limit=1)
# SSE 4.2 alone; AVX without AVX2; AVX2 with FMA.
for processor in Nehalem SandyBridge Haswell; do
  printf '== %s: list, and a short training\n' "$processor"
  qemu-x86_64 -cpu "$processor" "$conjoin" list > /dev/null
  qemu-x86_64 -cpu "$processor" "$conjoin" train recipes/g2p.toml "${short[@]}" \
    --out "$scratch/$processor"
done
