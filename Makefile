# Every target makes what it needs first. `make help` lists them.
SPEC ?= specs/resnet_small.yaml
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEV := $(VENV)/.ready-dev
TORCH ?= auto
COMPILE := $(BIN)/uv pip compile --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
  --no-header --quiet pyproject.toml
FASTAI := .venv-fastai
LITSERVE := .venv-litserve

# With DATA and no SPEC, the network is chosen too.
chosen = $(if $(and $(DATA),$(filter file,$(origin SPEC))),specs/auto.yaml,$(SPEC))

# DATA=folder or parquet, RUN=run folder, SET="key=value key=value": passed on only when given. The shell splits
# SET, so that values with spaces stand in quotes: SET='finetune.plan="my plans/plan.json" finetune.epochs=3'.
data = $(if $(DATA),--data "$(DATA)")
near = $(if $(NEAR),--near "$(NEAR)")
run = $(if $(RUN),--run "$(RUN)")
why = $(if $(WHY),--why)
set = $(if $(SET),$(shell set -f; for pair in $(SET); do printf -- "--set '%s' " "$$pair"; done))

.DEFAULT_GOAL := help
.PHONY: help finetune compare predict serve pull report pretrain bench-recipe bench-transfer bench-networks bench-strategy bench-prior bench-hindsight bench-partial bench-rates bench-probe bench-scale bench-kills bench-busy bench-folder bench-serve bench-answers bench-choosing bench-int8 load picture plan check-recipe health pictures search augment describe validate schema zoo demo export test check fuzz bench lock clean

help: ## list the targets, with examples
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'
	@printf '\nVariables: SPEC=file.yaml  DATA=folder  RUN=run-folder  MODEL=run-folder  IMAGE=file  WHY=1 (show the evidence)\n'
	@printf '           SET="finetune.epochs=3 choices.norm=group_norm"  (values with spaces in quotes of their own)\n'
	@printf 'Examples:\n  make finetune DATA=~/photos\n  make predict MODEL=runs/resnet_small/photos-20261128-000056 IMAGE=new.jpg\n'
	@printf '  make finetune DATA=~/photos SET="finetune.strategy=partial"\n'
	@printf "  make finetune DATA=~/photos SET='finetune.plan=\"my plans/plan.json\" finetune.epochs=3'\n"

$(READY): requirements.lock pyproject.toml install.py
	@$(PYTHON) install.py $(VENV) --torch $(TORCH)
	@touch $@

$(DEV): $(READY) requirements-dev.lock
	@$(PYTHON) install.py $(VENV) --torch $(TORCH) --dev
	@touch $@

finetune: $(READY) ## train SPEC, or a chosen network, on DATA and write a model file (RUN= names the folder, and continues a run)
	@$(BIN)/python -m graft finetune "$(chosen)" $(data) $(run) $(set) $(why)

predict: $(READY) ## name what IMAGE shows with MODEL, a run's folder or a model.onnx
	@$(BIN)/python -m graft predict "$(MODEL)" "$(IMAGE)"

demo: $(READY) ## try the trained models, and teach new ones, in a browser
	@$(BIN)/python -m graft demo

serve: $(READY) ## answer for photos over HTTP with MODEL, a run's folder or a model.onnx
	@$(BIN)/python -m graft serve "$(MODEL)"

report: $(READY) ## show the result of RUN again (HTML=1 writes its report.html again)
	@$(BIN)/python -m graft report "$(RUN)" $(why) $(if $(HTML),--html)

plan: $(READY) ## show how SPEC would be trained on DATA and how long it takes
	@$(BIN)/python -m graft plan "$(chosen)" $(data) $(set) $(why)

compare: $(READY) ## which network suits DATA best (SPECS="resnet_small resnet18" names some)
	@$(BIN)/python -m graft compare $(SPECS) $(data) $(set)

pull: $(READY) ## fetch the published weights of SPEC
	@$(BIN)/python -m graft zoo pull "$(SPEC)"

pretrain: $(READY) ## train SPEC on DATA and write its weights and their card (OUT=zoo/weights; RUN= continues a run)
	@$(BIN)/python -m graft pretrain "$(SPEC)" $(data) $(run) $(set) $(if $(OUT),--out "$(OUT)")

check-recipe: $(READY) ## check SPEC's recipe on DATA before it is trained, and draw a learning rate test
	@$(BIN)/python -m graft check "$(SPEC)" $(data) $(set)

health: $(READY) ## look for wrong labels, copies, odd and broken images in DATA (OUT=folder of the page)
	@$(BIN)/python -m graft health $(if $(filter file,$(origin SPEC)),,"$(SPEC)") $(data) $(set) $(if $(OUT),--out "$(OUT)")

pictures: $(READY) ## draw RUN's first-layer filters and some activations
	@$(BIN)/python -m graft pictures "$(RUN)"

search: $(READY) ## search the ranges of SPEC's search section; the same command continues or shares a search
	@$(BIN)/python -m graft search "$(SPEC)" $(data) $(run) $(set)

augment: $(READY) ## draw what SPEC's augmentation does to some of the images (OUT=file.png)
	@$(BIN)/python -m graft augment "$(SPEC)" $(data) $(set) $(if $(OUT),--out "$(OUT)")

describe: $(READY) ## the network of SPEC, layer by layer
	@$(BIN)/python -m graft zoo describe "$(SPEC)" $(set)

validate: $(READY) ## read SPEC and report every mistake in it
	@$(BIN)/python -m graft zoo validate "$(SPEC)" $(set)

schema: $(READY) ## write specs/spec.schema.json, which editors use
	@$(BIN)/python -m graft zoo schema

zoo: $(READY) ## list every spec: year, parameters, MACs, available weights
	@$(BIN)/python -m graft zoo list

export: $(READY) ## write RUN's ONNX file again, with the parity check
	@$(BIN)/python -m graft export "$(RUN)"

test: $(DEV) ## run the tests, with coverage
	$(BIN)/python -m slipcover --source files,pixels,zoo,finetune,serve,graft --json --out coverage.json \
	  -m pytest -n 2 --dist worksteal
	@$(BIN)/python -m slipcover --merge coverage.json --out coverage.json --skip-covered --fail-under 90

check: $(DEV) ## lint, format, types, levels of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY) ## images per second of training against bare loops, into docs/speed.md
	$(BIN)/python -m bench.training

bench-recipe: $(READY) ## what each technique is worth, into docs/recipe.md (DATA=folder of Tiny ImageNet; continues)
	$(BIN)/python -m bench.recipe $(if $(DATA),--data $(DATA))

bench-transfer: $(READY) ## what SPEC's own weights are worth on few images, into docs/pretraining.md (DATA=another folder, NEAR=Tiny ImageNet; continues)
	$(BIN)/python -m bench.transfer "$(SPEC)" $(data) $(near)

bench-networks: $(READY) ## what each network is worth on few images, into docs/zoo.md (DATA="folder folder"; continues)
	$(BIN)/python -m bench.networks $(DATA)

bench-strategy: $(READY) ## every strategy of SPEC to its end and what auto picks, into docs/strategy-measurements.md (DATA="folder folder", NEAR=Tiny ImageNet; continues)
	$(BIN)/python -m bench.strategy "$(SPEC)" $(foreach folder,$(DATA),--data "$(folder)") $(near)

bench-prior: $(READY) ## a prior of the race from three networks, into runs/bench/prior.csv (DATA and NEAR as bench-strategy; resumes)
	$(BIN)/python -m bench.prior $(foreach folder,$(DATA),--data "$(folder)") $(near)

bench-hindsight: $(READY) ## the races of bench-prior chosen again with other priors, and without one, into docs/strategy-measurements.md
	$(BIN)/python -m bench.hindsight

bench-partial: $(READY) ## epochs a minute of partial on resnet18 with its frozen stages cached, against computing them
	$(BIN)/python -m bench.partial

bench-rates: $(READY) ## SPEC's strategy full at multiples of its learning rate, on few images, into docs/strategy-measurements.md (DATA and NEAR as bench-strategy; resumes)
	$(BIN)/python -m bench.rates "$(SPEC)" $(foreach folder,$(DATA),--data "$(folder)") $(near)

bench-probe: $(READY) $(FASTAI)/.ready ## folder to trained head: against one bare pass and fastai, into docs/strategy-measurements.md (DATA=folder; else drawn)
	$(BIN)/python -m bench.probe $(FASTAI)/bin/python $(data)

load: $(READY) ## hostile and good clients on a server of MODEL for 10 minutes; what they got and how long it took
	@$(BIN)/python -m bench.load "$(MODEL)"

bench-serve: $(READY) $(LITSERVE)/.ready ## the server of MODEL under load, against a bare loop and LitServe, into docs/serving.md
	$(BIN)/python -m bench.serve $(MODEL) --litserve $(LITSERVE)/bin/python

bench-folder: $(READY) ## images per second of predict on a folder with MODEL, against a bare loop
	@$(BIN)/python -m bench.folder "$(MODEL)"

bench-choosing: $(READY) ## what choosing the plan costs, and whether the forecast holds, into docs/speed.md
	$(BIN)/python -m bench.choosing

bench-scale: $(READY) ## what evidence costs by images and classes, into docs/speed.md
	$(BIN)/python -m bench.scale

bench-answers: $(READY) ## calibration, sets of classes and unknown images, into docs/report.md (DATA="folder folder")
	$(BIN)/python -m bench.answers $(DATA)

bench-int8: $(READY) ## what int8 brings and costs RUNS="run run", into docs/artifact.md
	$(BIN)/python -m bench.int8 $(RUNS)

bench-kills: $(READY) ## kill runs at random moments, resume them, and compare them with unbroken ones bit by bit (COUNT=200)
	$(BIN)/python -m bench.kills --count $(or $(COUNT),200)

bench-busy: $(READY) ## the same run alone and beside two busy processes, bit by bit
	$(BIN)/python -m bench.busy

picture: $(READY) ## draw what `make finetune` prints, for the README (needs a browser)
	$(BIN)/python -m bench.picture "$(SPEC)" $(if $(DATA),"$(DATA)")

$(FASTAI)/.ready: bench/fastai.txt | $(READY)
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(FASTAI)
	$(BIN)/uv pip install --quiet --python $(FASTAI)/bin/python -r $< $(UV_FLAGS)
	@touch $@

$(LITSERVE)/.ready: bench/litserve.txt | $(READY)
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(LITSERVE)
	$(BIN)/uv pip install --quiet --python $(LITSERVE)/bin/python -r $< $(UV_FLAGS)
	@touch $@

fuzz: $(DEV) ## damage specs, weights, images, plans, models, requests, calls and runs by the thousand (KIND=specs COUNT=100 SEED=1 CASE=7)
	$(BIN)/python -m bench.fuzz $(foreach kind,$(KIND),--kind $(kind)) $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED)) $(if $(CASE),--case $(CASE))

lock: $(DEV) ## resolve the two lock files from pyproject.toml again
	$(COMPILE) --extra serve --extra grpc --extra demo --extra train -o requirements.lock
	$(COMPILE) --extra dev --constraints requirements.lock -o requirements-dev.lock
	$(COMPILE) --extra serve --extra grpc --constraints requirements.lock -o deploy/requirements.lock

clean: ## remove what was made here, runs excepted
	rm -rf $(VENV) $(FASTAI) $(LITSERVE) build dist *.egg-info coverage.json .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
