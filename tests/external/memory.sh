#!/usr/bin/env bash
# Watches the memory of the kernels' unsafe code: address sanitizer at every instruction set that the
# processor has, then valgrind, which also sees numbers that are used before they are written.
#
#   tests/external/memory.sh
#
# Needs valgrind (Debian and Ubuntu: apt-get install valgrind), and of Rust only the stable toolchain
# (RUSTC_BOOTSTRAP=1 opens the sanitizer's flag). The code is compiled as a crate of its own without Burn,
# with the sources beside memory/lib.rs. Miri does not know most of the instructions.
#
# Seen with Rust 1.95 and valgrind 3.19: nothing found, on an AMD Zen 4 by the sanitizer at plain, avx2,
# avx512-nobf16 and avx512, on a Zen 3 at plain and avx2, by valgrind at plain and avx2; 6 minutes of CPU time.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

mkdir -p "$scratch/src/attention/heads" "$scratch/src/pool" "$scratch/src/rnn"
cp tests/external/memory/{lib,tests}.rs "$scratch/src"
sources=$root/crates/conjoin-kernels/src
ln -s "$sources"/{bf16,blas.rs,buffer.rs,conv,precision.rs,scratch.rs,simd,simd.rs} "$scratch/src"
ln -s "$sources/attention/heads/tiles.rs" "$scratch/src/attention/heads"
ln -s "$sources"/pool/{average,max,window}.rs "$scratch/src/pool"
ln -s "$sources/rnn/panels.rs" "$scratch/src/rnn"
cp Cargo.lock "$scratch"
{
  printf '[package]\nname = "memory"\nversion = "0.1.0"\nedition = "2024"\n[dependencies]\n'
  grep -E '^(gemm|libc|rayon) = ' Cargo.toml
  printf '[profile.release]\ndebug = 1\n'
} > "$scratch/Cargo.toml"
cd "$scratch"

levels=(plain)
grep -qw avx2 /proc/cpuinfo && levels+=(avx2)
grep -qw avx512f /proc/cpuinfo && levels+=(avx512-nobf16)
grep -qw avx512_bf16 /proc/cpuinfo && levels+=(avx512-noamx)
grep -qw amx_bf16 /proc/cpuinfo && levels+=(avx512)

printf '== address sanitizer\n'
host=$(rustc -vV | sed -n 's/^host: //p')
export RAYON_NUM_THREADS=2
for level in "${levels[@]}"; do
  printf -- '-- %s\n' "$level"
  CONJOIN_SIMD=$level RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address \
    cargo test --quiet --release --lib --target "$host" --target-dir "$scratch/asan"
done

printf '== valgrind\n'
cargo test --quiet --release --lib --no-run --target-dir "$scratch/plain"
binary=$(find "$scratch/plain/release/deps" -name 'memory-*' -executable -type f)
for level in "${levels[@]}"; do
  # Valgrind does not know AVX-512.
  [[ $level == avx512* ]] && continue
  printf -- '-- %s\n' "$level"
  CONJOIN_SIMD=$level valgrind --quiet --error-exitcode=9 "$binary" --test-threads 1 \
    conv pool small_products writes_to empty not_finite buffer panels columns
done
printf 'memory.sh: nothing found\n'
