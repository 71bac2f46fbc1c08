# A thin layer over the CMake presets. `make help` lists the goals.
BUILD := build/release
BIN := $(BUILD)/bin
JOBS := $(shell nproc)
PYTHON := /usr/bin/python3
SEED := 1
FIRST := 1
COUNT := 10000

.PHONY: help build python wheel run test test-browser test-python-index headers arm64 test-arm64 e2e-deep torture chaos bench fuzz fmt tidy asan tsan clean test-install deb pictures screenshots test-index

help: ## list the goals
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

build: ## install what the build needs, build lambdaml and lambdaml-worker into build/release/bin
	@packages/install.sh build
	@cmake --preset release
	@cmake --build --preset release --target lambdaml lambdaml-worker lambdaml-bootstrap lambdaml_library lambdaml_pages \
	  check_layers -j $(JOBS)

python: ## build the Python package for Debian's Python: PYTHONPATH=build/release/python imports it
	@packages/install.sh build python
	@cmake --preset release -DLAMBDAML_PYTHON=ON -DPython_EXECUTABLE=$(PYTHON)
	@cmake --build --preset release --target lambdaml_python lambdaml -j $(JOBS)
	@echo "PYTHONPATH=$(BUILD)/python $(PYTHON) -c 'import lambdaml'"

wheel: ## build the wheel of the Python package, with the libraries that it needs, into build/wheels
	@packages/install.sh build index
	@python/wheel.sh $(PYTHON) build/wheels $(WHEEL_BUILD)

arm64: build ## make build/lambdaml-arm64.zip, for Lambda's arm64 functions, on this machine (minutes; ARM64_CXX=clang++: by clang)
	@packages/install.sh build arm64
	@JOBS=$(JOBS) ARM64_CXX=$(ARM64_CXX) packages/arm64.sh $(BIN)/lambdaml build/arm64 build/lambdaml-arm64.zip

run: build ## train logistic regression with 4 workers on generated HIGGS-shaped data
	@mkdir -p build/run
	$(BIN)/lambdaml data synth higgs --rows 200000 -o build/run/higgs.libsvm
	$(BIN)/lambdaml train --data build/run/higgs.libsvm --model lr --workers 4

test: ## install what the tests need, build and run them
	@packages/install.sh build test
	@cmake --preset release -DLAMBDAML_TESTS=ON -DLAMBDAML_PYTHON=ON -DPython_EXECUTABLE=$(PYTHON)
	@cmake --build --preset release -j $(JOBS)
	@ctest --preset release -j $$(( $(JOBS) + 4 )) || { \
	  awk -f cmake/failed_tests.awk $(BUILD)/Testing/Temporary/LastTest.log; false; }

test-python-index: wheel ## the wheel beside the newest scikit-learn, pandas, polars and pyarrow of the package index
	@python/test_index.sh $(PYTHON) build/wheels
	@$(PYTHON) -B tests/install/wheel.py build/index-venv build/bare-tree

test-browser: build ## open reports and the dashboard in Chromium (two minutes)
	@packages/install.sh browser
	@$(PYTHON) -B tests/browser/make_runs.py $(BUILD)/browser/made
	@PATIENCE=$${PATIENCE:-4} $(PYTHON) -B tests/browser/reports.py $(BIN)/lambdaml $(BUILD)/browser
	@PATIENCE=$${PATIENCE:-4} node tests/browser/dashboard.mjs $(BIN)/lambdaml $(BUILD)/browser/dashboard $(BUILD)/browser/made

test-index: build ## beside programs of the Python package index: TensorBoard, safetensors and pyarrow read what is theirs, cfn-lint the template, moto is AWS (minutes)
	@packages/install.sh index
	@$(PYTHON) -m venv build/index-programs
	@build/index-programs/bin/pip install -q --disable-pip-version-check tensorboard==2.21.0 'moto[server]==5.2.5' \
	  cfn-lint==1.58.0 safetensors==0.6.2 numpy==2.2.6
	@build/index-programs/bin/python -B tests/index/tensorboard_reads.py $(BIN)/lambdaml build/index-runs
	@build/index-programs/bin/python -B tests/index/safetensors_reads.py $(BIN)/lambdaml build/index-safetensors
	@build/index-programs/bin/pip install -q --disable-pip-version-check --no-deps --upgrade \
	  --target build/index-parquet pyarrow==17.0.0
	@if [ -x $(BUILD)/tests/lambdaml_with_servers ]; then for page in docs/how-to/python.md docs/reference/python-api.md; do \
	  PYTHONPATH=$(CURDIR)/build/index-parquet $(PYTHON) -B tests/docs/snippets.py $(BUILD) $$page || exit 1; \
	  done; else echo 'docs/how-to/python.md: skipped, its servers are built by make test'; fi
	@build/index-programs/bin/cfn-lint deploy/template.yaml
	@$(BIN)/lambdaml package -q -o build/moto.zip
	@build/index-programs/bin/python -B tests/index/moto_serves.py $(BIN)/lambdaml build/moto.zip build/moto-runs
	@build/index-programs/bin/python -B tests/index/jobs_that_start.py $(BIN)/lambdaml build/moto.zip build/moto

test-install: build ## install, build programs against it, complete in shells, use the Debian packages (minutes)
	@packages/install.sh install
	@$(PYTHON) -B tests/install/installed.py $(BUILD) $(BUILD)/install
	@$(PYTHON) -B tests/install/debian.py $(BUILD) $(BUILD)/debian
	@$(PYTHON) -B tests/install/images.py $(BIN) $(BUILD)/images

test-arm64: arm64 ## train with the worker of build/lambdaml-arm64.zip, under qemu-user
	@$(PYTHON) -B tests/install/arm64.py $(BIN) build/lambdaml-arm64.zip build/arm64/test

deb: build ## make Debian packages in build/release/packages
	@packages/install.sh install
	@cpack --config $(BUILD)/CPackConfig.cmake -B $(BUILD)/packages

pictures: build ## record the terminal session of the README
	@packages/install.sh pictures
	@script -qec 'termtosvg docs/pictures/terminal.svg -g 92x26 -m 40 -M 2000 -D 6000 -t gjm8 \
	  -c "bash docs/pictures/session.sh $(abspath $(BIN))"' /dev/null </dev/null

screenshots: build ## make the pictures of the report, a search and the dashboard
	@packages/install.sh browser pictures
	@node tests/browser/pictures.mjs $(BIN)/lambdaml /tmp/lambdaml-pictures docs/pictures

headers: ## compile each header by itself (minutes)
	@packages/install.sh build test
	@cmake --preset release -DLAMBDAML_TESTS=ON
	@cmake --build --preset release --target check_headers -j $(JOBS)

e2e-deep: ## train MobileNet on the CIFAR-10 sample until it is as good as it must be (minutes)
	@packages/install.sh build test
	@cmake --preset release -DLAMBDAML_TESTS=ON
	@cmake --build --preset release --target lambdaml_deep_long_test -j $(JOBS)
	$(BUILD)/tests/lambdaml_deep_long_test

torture: ## break things under jobs: every pair of fault, store, optimizer … once (FULL=1: all), and hostile clients
	@packages/install.sh build test
	@cmake --preset release -DLAMBDAML_TESTS=ON
	@cmake --build --preset release -j $(JOBS)
	@$(if $(ONLY),,ctest --preset release -R '[Hh]ostile' -j $(JOBS))
	@$(if $(ONLY),,LAMBDAML_FAULTS=all LAMBDAML_TEST_OUTAGE_S=20 $(BUILD)/tests/lambdaml_integration_test \
	  --gtest_brief=1 --gtest_filter='*Interrupt*:*Outage*')
	@$(PYTHON) -B tests/torture/torture.py $(BUILD) --seed $(SEED) --json build/torture.json \
	  $(if $(FULL),--strength all) $(if $(ONLY),--only '$(ONLY)')

chaos: ## 10,000 simulated jobs under faults drawn from seeds (minutes; FIRST=1, COUNT=10000)
	@packages/install.sh build test
	@cmake --preset release -DLAMBDAML_TESTS=ON
	@cmake --build --preset release --target lambdaml_chaos -j $(JOBS)
	@$(BUILD)/tests/lambdaml_chaos --first $(FIRST) --count $(COUNT) --jobs $(JOBS)

bench: ## measure kernels, parser, merging, rounds and pages against their limits and peers
	@packages/install.sh build bench browser
	@cmake --preset release -DLAMBDAML_BENCH=ON
	@cmake --build --preset release --target lambdaml lambdaml-worker lambdaml_bench -j $(JOBS)
	@$(PYTHON) bench/report.py $(BIN)/lambdaml_bench $(BIN)/lambdaml build/bench.json
	@$(MAKE) --no-print-directory test-browser PATIENCE=1

fuzz: ## run each fuzz target for a minute
	@packages/install.sh build dev
	@cmake --preset fuzz
	@cmake --build --preset fuzz -j $(JOBS)
	@cmake --build --preset fuzz --target fuzz -j 1

asan: ## the tests under the address and undefined-behaviour sanitizers
	@packages/install.sh build test
	@cmake --preset asan && cmake --build --preset asan -j $(JOBS) && ctest --preset asan -j $(JOBS)

tsan: ## the tests under the thread sanitizer
	@packages/install.sh build test
	@cmake --preset tsan && cmake --build --preset tsan -j $(JOBS) && ctest --preset tsan -j $(JOBS)

fmt: ## format the sources
	@packages/install.sh dev
	@git ls-files '*.cc' '*.h' | xargs clang-format -i

tidy: ## run clang-tidy over the sources
	@packages/install.sh build test dev
	@cmake --preset dev >/dev/null
	@git ls-files 'src/*.cc' | grep -v _test.cc | xargs clang-tidy -p build/dev --quiet

clean: ## remove everything that was built
	@rm -rf build
