#!/usr/bin/env bash
# Writes docs/coverage.md anew: which test shows which feature.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
WRITE_COVERAGE=1 cargo test --quiet -p wirebird-guide --test coverage
