# Everything that a user of this checkout types. `make` alone shows the list.
INVENTORY ?= inventory/local
LINES ?= 50
BENCH_JSON ?= .cache/benchmarks.json
PORT ?= 8081
# One more than there are cores: what has hosts waits nearly half of its time.
JOBS ?= 3
# How often hosts, images and packages may be tried to make: what is only infrastructure. What tests prove is never tried again.
export ATTEMPTS ?= 1
# For how many minutes `make soak` breaks things, and how many examples its properties try.
MINUTES ?= 60
EXAMPLES ?= 20000
SCENARIOS := $(patsubst molecule/%/molecule.yml,%,$(wildcard molecule/*/molecule.yml))
TARGET ?= all
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export MOLECULE_GLOB := molecule/*/molecule.yml
# Without compiled modules, each of Ansible's many short processes compiles what it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help environment environment-dev engine up smoke status poller logs verify restart down emulator \
	lint unit integration integration-bot integration-engine integration-hosts sanity upstream molecule test soak bench bench-no-op bench-webhook docs requirements

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

environment: ## Make .venv, with what runs the playbooks
	@scripts/environment runtime

environment-dev: ## Make .venv, with what the tests need as well
	@scripts/environment dev

engine: environment ## See to a Docker Engine on this machine
	@scripts/engine

up: ## Run the whole stack on this machine, send it a voice message, show the state
	@[ "$$(id -u)" = 0 ] || { echo "make up writes to /etc and installs what is missing: run it as root, or sudo make up" >&2; exit 1; }
	@$(MAKE) --no-print-directory engine
	ansible-playbook site.yml -i $(INVENTORY)
	@$(MAKE) --no-print-directory smoke status

smoke: environment ## Send one voice message through the bot; print one JSON object
	@scripts/smoke -i $(INVENTORY)

status: environment ## Show every container of the stack in one table
	@ansible-playbook playbooks/status.yml -i $(INVENTORY)

poller: environment ## Show who polls, on one screen
	@ansible-playbook playbooks/poller_status.yml -i $(INVENTORY)

logs: environment ## Show the last lines of every container (LINES=50, TARGET=primary|workers|…)
	@ansible-playbook playbooks/logs.yml -i $(INVENTORY) -e lines=$(LINES) -e target=$(TARGET)

verify: environment-dev ## Run the Testinfra suite on the running stack (INVENTORY=…)
	pytest tests/verify --hosts=ansible://all --ansible-inventory=$(INVENTORY)

restart: environment ## Restart, in the right order (TARGET=primary|workers|webhook|postgres|redis|minio|registry|all)
	ansible-playbook playbooks/restart.yml -i $(INVENTORY) -e target=$(TARGET)

down: environment ## Remove containers and networks (DATA=remove: the data as well)
	@case "$(DATA)" in ""|remove) ;; *) echo "DATA=$(DATA): leave it out to keep the data, or DATA=remove" >&2; exit 1;; esac
	ansible-playbook playbooks/teardown.yml -i $(INVENTORY) -e teardown_data=$(if $(filter remove,$(DATA)),true,false)

emulator: environment ## Run the Bot API emulator alone, in the foreground (PORT=8081)
	@cd images/bot_api_emulator && exec python -m bot_api_emulator --host 127.0.0.1 --port $(PORT)

lint: environment-dev ## ansible-lint, yamllint, ruff, mypy, hadolint
	@tests/tools/timed lint tests/tools/lint

unit: environment-dev ## Unit tests
	@tests/tools/infrastructure "installing packages" tests/tools/packages
	tests/tools/timed unit pytest --durations=10 --junitxml=.cache/times/unit.xml tests/unit

# In three parts, so that they keep the jobs busy: the bot's processes, this machine's engine, and Docker hosts of their own.
BOT := tests/integration/bot
HOSTS := tests/integration/engines tests/integration/fleet tests/integration/polling
# READY: environment and engine are there. A target that waits for others is begun last, and these take longest.
integration: integration-bot integration-engine integration-hosts ## Real services and hosts: the bot, the roles, the modules

integration-bot integration-engine integration-hosts: $(if $(READY),,environment-dev engine)
	@tests/tools/infrastructure "installing packages" tests/tools/packages
	tests/tools/timed $@ pytest --durations=10 --junitxml=.cache/times/$@.xml $(TESTS)

integration-bot: TESTS := $(BOT)
integration-engine: TESTS := tests/integration $(patsubst %,--ignore=%,$(BOT) $(HOSTS))
integration-hosts: TESTS := $(HOSTS)

sanity: environment-dev ## ansible-test sanity
	tests/tools/timed sanity python tests/tools/sanity.py

upstream: environment-dev engine ## The registry from which scenarios mirror, with all images (kept, as images are)
	@tests/tools/infrastructure "installing packages" tests/tools/packages
	@MOLECULE_PROJECT_DIRECTORY=$(CURDIR) tests/tools/timed upstream tests/tools/infrastructure "building the images" \
		ansible-playbook -i localhost, molecule/resources/upstream.yml

molecule: upstream ## Every Molecule scenario, two at a time
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target --keep-going $(SCENARIOS:%=molecule-%)

molecule-%:
	@tests/tools/timed molecule-$* tests/tools/scenario $*

test: environment-dev engine ## All that must pass
	@tests/tools/infrastructure "installing packages" tests/tools/packages
	@rm -rf .cache/times; mkdir -p .cache/times
	@code=0; \
	$(MAKE) --no-print-directory --jobs=$(JOBS) --output-sync=target lint upstream \
		&& $(MAKE) --no-print-directory --jobs=$(JOBS) --output-sync=target --keep-going READY=yes integration-engine integration-hosts integration-bot unit $(SCENARIOS:%=molecule-%) sanity \
		|| code=$$?; \
	python tests/tools/slowest.py; exit $$code

soak: upstream ## Random faults on the fleet for MINUTES=60, and properties with EXAMPLES=20000; not part of make test
	EXAMPLES=$(EXAMPLES) pytest tests/unit/polling
	KILLS=200 pytest tests/integration/containers -k killed
	NEWEST_ENGINE=yes pytest tests/integration/engines
	tests/tools/soak $(MINUTES)

bench: environment-dev engine ## Measure finding and moving a poller (BENCH_JSON=…); not part of make test
	python tests/benchmarks/benchmark.py --json $(BENCH_JSON)

bench-webhook: environment-dev ## Measure the webhook API while it is attacked (BENCH_JSON=…); not part of make test
	@tests/tools/infrastructure "installing packages" tests/tools/packages
	python tests/benchmarks/webhook_attack.py --json $(BENCH_JSON)

bench-no-op: environment-dev ## Measure a run that changes nothing beside 40 pings (after make up)
	python tests/benchmarks/no_op.py --inventory $(INVENTORY)

docs: environment-dev ## Write docs/configuration.md from the argument specs
	python tests/tools/configuration.py --write

requirements: environment-dev ## Pin again after a change of requirements*.in
	UV_NATIVE_TLS=1 uv pip compile -q --python-version 3.12 --no-annotate --no-header requirements.in -o requirements.txt
	UV_NATIVE_TLS=1 uv pip compile -q --python-version 3.12 --no-annotate --no-header requirements-dev.in -o requirements-dev.txt
