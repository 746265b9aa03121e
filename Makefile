# make demo | test | build | install | bench | format | check | fuzz | sanitize. Each does its own set-up (tools/setup.sh).

JOBS ?= $(shell nproc)

.PHONY: demo test build install bench accuracy format check fuzz sanitize setup clean

setup:
	@tools/setup.sh

# More for the configuration: make build CMAKE_ARGS=-DOCTET_CUDA=ON
build: setup
	@mkdir -p build && cmake --preset release $(CMAKE_ARGS) > build/configure.log 2>&1 || { cat build/configure.log; exit 1; }
	@cmake --build --preset release -j $(JOBS) -- --quiet

# make install DESTDIR=/image PREFIX=/usr
PREFIX ?= /usr/local
install: build
	@cmake --install build --prefix "$(PREFIX)" --strip

# Its fine-tuning is built on libtorch (1 GB more to install): make demo SETUP= does without.
SETUP ?= train
demo:
	@tools/setup.sh $(SETUP) || { echo "demo: goes on without fine-tuning" >&2; tools/setup.sh; }
	@$(MAKE) --no-print-directory build
	@build/octet_demo

test: build
	@tools/run_tests.py build

bench: build
	@bench/peers/run.sh $(ARGS)

accuracy: build
	@bench/accuracy/run.sh

format: setup
	@git ls-files '*.cpp' '*.h' '*.cu' '*.cuh' | xargs clang-format -i

check: build
	@tools/check.sh

fuzz: setup
	@tools/fuzz.sh $(or $(SECONDS_EACH),60)

sanitize: setup
	@tools/sanitize.sh

clean:
	rm -rf build
