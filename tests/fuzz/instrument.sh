#!/bin/sh
# Called by cargo in rustc's place for the crates of this workspace (RUSTC_WORKSPACE_WRAPPER): adds the counters by which
# libFuzzer sees what an input reaches. Only these crates get them, so that every compiled dependency is shared with the
# ordinary build. Both options are stable ones; no other toolchain is needed.
rustc="$1"
shift
exec "$rustc" "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
