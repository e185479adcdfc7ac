# ---
# A notebook as a script: `# %%` begins a cell (Jupytext, VS Code, Spyder), and plain Python runs
# it from top to bottom. It needs the files of the default run (`snakemake --cores all`):
#
#     python docs/examples/sampling.py
# ---

# %% [markdown]
# # From a trained policy to images, a schedule, better images and a distance
#
# A policy and its generator are two files. They hold all settings.

# %%
import matplotlib.pyplot as plt

import adagen

GENERATOR = "resources/digits/generators/sit.safetensors"
POLICY = "results/digits_sit_t4/policy/adagen_seed0.safetensors"

sampler = adagen.load(POLICY, GENERATOR)
handmade = sampler.handmade()  # the same generator and settings

# %% [markdown]
# ## Images
#
# Sample `i` of a seed is always the same image. Without labels, classes come in turn.

# %%
samples = sampler(n=50, seed=0)
samples.save("grid.png", columns=10)

threes = sampler(labels=3, n=16, seed=0)
print(threes.images.shape, threes.actions.shape)  # (16, 1, 8, 8) and (5, 16, 2)

# %% [markdown]
# ## The schedule that the policy chose
#
# One row for each action and step: the mean over samples, the quantiles between which nine samples
# in ten lie, and the hand-made value. A band that is no wider than its line is a schedule that is
# the same for every sample.

# %%
schedule = sampler(n=1000).schedule()
print(schedule.to_string(index=False))

names = schedule["action"].unique()
figure, panels = plt.subplots(
    1, len(names), figsize=(4 * len(names), 3), squeeze=False, layout="constrained"
)
for panel, name in zip(panels[0], names, strict=True):
    rows = schedule[(schedule["action"] == name) & schedule["effective"]]
    panel.fill_between(rows["step"], rows["q05"], rows["q95"], alpha=0.3)
    panel.plot(rows["step"], rows["mean"], label="AdaGen")
    panel.plot(rows["step"], rows["handmade"], "k--", label="hand-made")
    panel.set(title=name, xlabel="step")
panels[0][0].legend()
figure.savefig("schedule.png")

# %% [markdown]
# ## The best of four
#
# Four candidates of every sample are made, and the one is kept that the reward of the training
# scores highest. Any function of images and labels can take its place.

# %%
best = sampler.best_of(
    4,
    "results/digits_sit_t4/policy/adagen_seed0.reward.safetensors",
    features="resources/digits/reward.safetensors",
)
best(n=50, seed=0).save("best.png", columns=10)
print(f"{best.nfe} network evaluations an image, {sampler.nfe} without")

# %% [markdown]
# ## Distances
#
# The reference says which protocol measures, and its networks lie beside it. A distance of 1,000
# images is larger than one of 5,000: compare equal numbers only.

# %%
numbers = {
    name: adagen.measure(chosen(n=1000), "resources/digits/reference.safetensors")
    for name, chosen in {"hand-made": handmade, "AdaGen": sampler, "best of 4": best}.items()
}
for name, measured in numbers.items():
    print(f"{name:10} FID {measured['fid']:.3f}  recall {measured['recall']:.3f}")
print(numbers["AdaGen"]["protocol"])
