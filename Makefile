# make demo: the whole way on synthetic people.  make test: every check.  Both install into .venv first, once.

PYTHON ?= $(firstword $(foreach name,python3 python3.11 python3.12 python3.13,$(if $(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo yes),$(name))))
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: install demo test test-arm64 test-android lint format benchmark clean

install: $(INSTALLED)

$(INSTALLED): requirements.txt constraints.txt setup.cfg pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or newer must be on the PATH" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $(INSTALLED)

demo: $(INSTALLED)
	$(BIN)/affnet demo --out demo

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Not part of make test: downloads 120 MB of Debian packages and wheels into build/arm64, once; docs/arm64.md.
test-arm64: $(INSTALLED)
	$(BIN)/python tests/arm64/run.py $(if $(BUNDLE),--bundle "$(BUNDLE)")

# The Kotlin compiler, 90 MB, from npm into build/kotlin, once; tests/test_android.py is skipped without it.
KOTLIN := 2.4.20
build/kotlin/package/bin/kotlinc:
	mkdir -p build/kotlin
	cd build/kotlin && npm pack --silent kotlin-compiler@$(KOTLIN) && tar xzf kotlin-compiler-$(KOTLIN).tgz
	rm build/kotlin/kotlin-compiler-$(KOTLIN).tgz
	touch $@

# JUnit and Android's own org.json, 0.5 MB, from Debian into build/kotlin/jars, once; tests/test_android_app.py is skipped
# elsewhere.
JARS := junit4 hamcrest com.android.json
build/kotlin/jars:
	@command -v apt-get > /dev/null && command -v dpkg-deb > /dev/null || \
		{ echo "make: no Debian: the app as a whole is not compiled" >&2; exit 1; }
	rm -rf build/kotlin/debian && mkdir -p build/kotlin/debian
	cd build/kotlin/debian && apt-get -qq download junit4 libhamcrest-java libandroid-json-java
	for package in build/kotlin/debian/*.deb; do dpkg-deb -x $$package build/kotlin/debian || exit 1; done
	mkdir build/kotlin/debian/jars && cp -L $(JARS:%=build/kotlin/debian/usr/share/java/%.jar) build/kotlin/debian/jars
	mv build/kotlin/debian/jars $@
	rm -rf build/kotlin/debian

test-android: $(INSTALLED) build/kotlin/package/bin/kotlinc
	-@$(MAKE) --silent build/kotlin/jars
	$(BIN)/python -m pytest tests/test_android.py tests/test_android_app.py

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	# export/ is affnet_tf.export by name only; the linter reads folders, so it gets a tree where the two agree.
	rm -rf build/lint && mkdir -p build/lint && cp -r affnet_tf build/lint/ && cp -r export build/lint/affnet_tf/export
	cd build/lint && PYTHONPATH=. ../../$(BIN)/lint-imports --no-cache --config ../../setup.cfg

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# All but recipe.py, which trains for hours.
benchmark: $(INSTALLED)
	for script in $(filter-out benchmarks/recipe.py,$(wildcard benchmarks/*.py)); do $(BIN)/python $$script || exit 1; done

clean:
	rm -rf .venv demo build dist *.egg-info
