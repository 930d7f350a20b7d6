# `make test` is what CI runs: everything that must pass, cheap things first.

# The suites that tests/install fetched; a path given from outside stands.
SPF_SUITE ?= $(wildcard $(CURDIR)/target/suites/rfc7208-tests.yml)

.PHONY: test cargo-test

test:
	cargo fmt --check
	tests/install
	cargo clippy --all-targets -- -D warnings
	$(MAKE) --no-print-directory cargo-test

# A make of its own, since the suite may just have come.
cargo-test:
	$(if $(SPF_SUITE),SPF_SUITE='$(SPF_SUITE)') $(if $(ARC_SUITE),ARC_SUITE='$(ARC_SUITE)') cargo test
