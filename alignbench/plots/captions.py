"""What stands under each figure in a report: how it is read, and what it does not show."""

from __future__ import annotations

from dataclasses import dataclass

from alignbench.plots.text import clean


@dataclass(frozen=True, slots=True)
class Caption:
    """The words that go with a figure.

    Args:
        title: what it is about, as a question where it answers one.
        read: how to read it.
        not_shown: what it does not show, or must not be taken for.
    """

    title: str
    read: str
    not_shown: str


CAPTIONS: dict[str, Caption] = {
    "multi_llm_matrix": Caption(
        "Every encoder with every LLM",
        "A row an encoder, a column an LLM; the value ± half its 95% interval. Solid box: the best for "
        "this LLM; dashed boxes: the best of these is too close to call; dotted: no better than shuffled "
        "pairs; no box in a column: no encoder beats shuffled pairs here.",
        "Differences by colour: colours compare cells of one matrix only. Values of two LLMs in one row "
        "were not tested against each other.",
    ),
    "cka_by_data_type": Caption(
        "Which encoder fits on which data type?",
        "A panel a type. Coloured: the best on this type, or, marked =, those that are too close to call; "
        "pale: worse by more than chance, or no encoder beats shuffled pairs here.",
        "That types differ: each panel is judged by itself, on a third or less of the data. Of many "
        "types, some put another encoder first by chance.",
    ),
    "cka_comparison": Caption(
        "Does the similarity measure matter?",
        "Bars: the score; black line: its 95% interval; grey: what shuffled pairs give (mean, ±2 standard "
        "deviations). How far a bar passes its own grey is what counts.",
        "Anything by the length of a bar of linear or RBF CKA alone: with few samples or many dimensions "
        "they are high for unrelated data. Do not compare bars of different panels.",
    ),
    "cka_vs_coral": Caption(
        "Is it aligned, or only alike?",
        "Left, as published: CKA against CORAL similarity, with the diagonal. Right, as it should be read: "
        "calibrated CKA (0 is chance) against ncoral, where the left edge is the same distribution. Lines: "
        "95% intervals; grey: CKA of shuffled pairs; hollow: saturated.",
        "Alignment along the horizontal axis: CORAL never sees which text belongs to which image, and "
        "dealing the texts out anew would not move a point sideways. Hollow points stand at 1 whatever the "
        "encoder, so the diagonal separates nothing.",
    ),
    "alignment_summary": Caption(
        "Where does each encoder stand by each kind of metric?",
        "A row a metric, a column an encoder. Blue: better than shuffled pairs or chance, the darker the "
        "nearer to the best possible value; red: worse. In brackets: not shown to beat shuffled pairs. A "
        "dozen metrics at most; all others are in the table of scores.",
        "Whether two encoders differ: a darker blue may be chance. Rows of grey have no chance level, so "
        "their colours say nothing. Rows are not independent; counting them is no vote.",
    ),
    "sensitivity": Caption(
        "Does the ranking survive other choices?",
        "A row a choice of pooling, layer, fit or scaling, changed one at a time; a mark an encoder, a "
        "line its 95% interval. τ compares the order of encoders with that as scored (1: the same order). "
        "=: the encoder that is first as scored is first here, too, or too close to call.",
        "Which choice is right, or what two changes do together. Picking the variant that looks best "
        "makes its score too high: its interval does not know of the others.",
    ),
    "sample_influence": Caption(
        "Which samples make the score?",
        "A panel a pair, a point a sample, from those that carry the score (left) to those that spoil it "
        "(right); the ends by name. Up: the score falls without it.",
        "Why: look at the samples themselves, below. Leaving out what spoils a score is no improvement, "
        "only another question.",
    ),
    "model_similarity": Caption(
        "How alike are the models to each other?",
        "A cell a pair of models on the same images or the same texts; light: they see the same samples "
        "as alike.",
        "That alike models fit an LLM equally well, or are equally good. Intervals are in the table of "
        "scores.",
    ),
    "e2e_retrieval": Caption(
        "Is the text of a held-out image found?",
        "Bars: recall at 1, 5 and 10 and mean reciprocal rank among held-out candidates, both ways; red: "
        "what a guesser gets; grey: after training on shuffled pairs; black: 95% interval.",
        "Retrieval among more candidates: with ten times as many, all values fall. A recall at 10 of "
        "eighteen candidates is high for a guesser, too.",
    ),
    "metric_vs_e2e": Caption(
        "Does a score predict retrieval?",
        "A point an encoder: a score against its retrieval; lines: 95% intervals. r, ρ and τ are over "
        "trainings, without the untrained control.",
        "Anything about prediction where it says not estimable: with three trainings r is high or low by "
        "chance alone, and the smallest possible p is 1/3.",
    ),
    "validity_matrix": Caption(
        "Which score predicts which outcome?",
        "A row a score, a column an outcome: Pearson's r over trainings, the strongest first. Stars: how "
        "often the largest of all cells would be as large by chance.",
        "Anything by a colour without a star: of so many cells some are high by chance. No score can go "
        "with an outcome better than the outcome goes with itself (columns agree).",
    ),
    "projector_comparison": Caption(
        "What does a trained projector carry over to new pairs?",
        "Above: held-out error and cosine with 95% intervals; crosses: trained on shuffled pairs. Below: "
        "the loss by epoch, dashed on trained pairs, solid on held-out ones.",
        "What a projector reaches with more data. Where the solid line turns up, pairs are learnt by "
        "heart from there on, and larger projectors look worse than they are.",
    ),
    "elas_matrix": Caption(
        "ELAS: does a linear projector carry over?",
        "A row an encoder, a column an LLM: ELAS with its 95% interval and, in brackets, what the same "
        "gives on shuffled pairs; around it the four parts.",
        "Alignment by the first part alone, which is biased upwards where n is small. A small gap between "
        "training and test is easy where nothing is learnt.",
    ),
    "vlm_gain": Caption(
        "What is the image worth to a frozen LLM?",
        "Left: the perplexity of held-out captions with their own image, another one and none. Right: "
        "what the own image gains over another, with its interval; right of 0 it is of use.",
        "The quality of captions that the LLM would write. Intervals on the left are wide since splits "
        "hold other captions: judge the gain by the right panel.",
    ),
    "vlm_curves": Caption(
        "How the projectors of the VLM trained",
        "Dotted: training batches; solid: held-out captions with their own images; dashed: held-out "
        "captions without an image.",
        "The best that could be reached: no epoch was chosen by these curves.",
    ),
    "embedding_scatter": Caption(
        "The embedding spaces in two dimensions",
        "A point a sample, its mark and colour the data type; a row a model, a column a method. T and C "
        "below say how far neighbours in the picture can be believed (1: fully).",
        "Distances: in t-SNE and UMAP axes, sizes of clusters and gaps between them mean nothing. That "
        "two pictures look alike is no alignment.",
    ),
    "procrustes_overlay": Caption(
        "Vision laid over text",
        "Filled: images; hollow: their texts; a line joins the two of a pair. The map was fitted on other "
        "pairs. Short lines: pairs fall together. Residual 1: no relation.",
        "More than two of the dimensions, and a fit beyond the data type where the p within types is "
        "high: then only the types fall together.",
    ),
    "cross_modal_similarity": Caption(
        "Which texts does each image lie near?",
        "Rows: held-out images, columns: their texts, sorted by type. A red diagonal: each image is "
        "nearest to its own text. Red blocks: only the types match.",
        "How good the best possible map would be: this one is a rotation, fitted on half of the data.",
    ),
    "intra_modal_similarity": Caption(
        "How alike are the encoders' distributions, and the LLMs'?",
        "A cell a pair of models of one side. CORAL similarity, as published: 1 is the same; hatched: "
        "saturated. Beside it ncoral, which is 0 for the same distribution. Light: alike, in both.",
        "Whether two models see the same samples as alike: CORAL compares clouds, not samples. Hatched cells "
        "cannot tell any two models apart.",
    ),
    "sample_similarity": Caption(
        "Which samples does each model find alike?",
        "Rows and columns: samples, sorted by type; bright: a cosine near 1. Bright blocks on the "
        "diagonal: the model holds the types apart. The scale begins where one pair in twenty "
        "lies below, or above outliers: one odd sample does not grey out all others.",
        "Agreement of two models, and information: a panel that is bright all over says that all vectors "
        "point one way, which centring undoes.",
    ),
    "layer_grid": Caption(
        "Which layers are alike?",
        "A panel a pair: encoder layers down, LLM layers across, bright: alike. Framed: the highest cell. "
        "Dotted: cells that the best of all cells of re-paired data reach in one case of twenty or more.",
        "That a framed layer is the one to use: the best of many cells is high by luck, and it is judged "
        "as that by its p in the table of scores. Encoders that are pooled in other ways are no fair "
        "comparison.",
    ),
    "attention_localisation": Caption(
        "Do maps find what they name?",
        "Point: the mean over drawn scenes with known places, with its 95% interval; cross: a guess; "
        "grey: what exchanged prompts or images give. A map follows its text where it is beyond the grey.",
        "How well it goes on photographs or pages: the scenes are flat shapes. An untrained encoder can "
        "do well here by contrast alone.",
    ),
    "attention_of_texts": Caption(
        "Where does an encoder see what the text says?",
        "Beside each image a map an encoder and method: yellow is similar to the text, blue is not, each "
        "between its own ends. Frame: where it is.",
        "How sure a map is: each fills the scale between its own ends, so that one of pure noise is as "
        "colourful. How far they can be trusted is measured beside it.",
    ),
    "attention_own": Caption(
        "Where does an encoder look?",
        "Attention to the patches in the last layer, the mean over heads: yellow much, blue little, each "
        "map between its own ends.",
        "What an encoder understands, or what its embedding depends on. Attention of random weights "
        "lights up objects, too, since it follows contrast.",
    ),
    "coral_dashboard": Caption(
        "Deep CORAL at a glance",
        "Top: distances of distributions. Middle: over how many directions the variance is spread. "
        "Bottom: the covariances of the encoder and LLM that are most alike, in one basis, and their "
        "difference.",
        "Alignment of pairs. A small distance says that the clouds have one shape, not that a point of "
        "one lies at its partner's place in the other.",
    ),
    "coral_comparison": Caption(
        "How alike are the distributions of two models?",
        "A row a pair of models: encoder with LLM, encoders, LLMs. ncoral and spectral_ncoral: 0 is the "
        "same distribution. Beside them similarity and distance, as published. Hatched: saturated.",
        "Which text belongs to which image. Hatched bars cannot tell any models apart, however equal or "
        "different these are.",
    ),
    "covariance_heatmaps": Caption(
        "Where do two covariances differ?",
        "A row a pair of models: both covariances in the basis they share, and the difference. An empty "
        "third panel: the same distribution.",
        "The whole spaces: only the few directions of the shared basis. Of many pairs, the most alike ones.",
    ),
    "eigenvalue_spectrum": Caption(
        "Over how many directions does the variance spread?",
        "Above, all models: the share of each direction, and of the first ones together. A curve that falls "
        "late uses many directions; the legend has their effective number. Below, each encoder against the "
        "LLM, with the spectral divergence of the two.",
        "What the directions mean, or whether two models use the same ones. The tail ends at n, not where "
        "the model's own dimensions end.",
    ),
    "eas_dashboard": Caption(
        "The encoder alignment score and its parts",
        "Stacked: the weighted parts of EAS as published, and of EAS adjusted. Grey: what shuffled pairs "
        "give. Then CKA against EAS, a point an encoder, and the places by CKA, CORAL and EAS. Hatched: "
        "saturated, so there is no order.",
        "A ranking by alignment where CORAL is hatched: then EAS as published ranks by CKA and by class "
        "structure, and class structure never sees the LLM.",
    ),
    "speed_dashboard": Caption(
        "How fast is it, and what does it take?",
        "Encoders by batch size: throughput, time of a batch, memory. Below: where the time of an image "
        "and of a text goes, and what the dozen dearest metrics cost by number of rows; the costs of all "
        "are in the table of scores.",
        "The speed on another machine, or of a quiet one where values are flagged busy. On a CPU, "
        "memory is what the process grew by during a batch, without the weights that were loaded before.",
    ),
}
"""Name of a figure -> its caption, in the order in which a report shows them."""


def caption_of(name: str) -> Caption:
    """Return the caption of a figure; of one that nobody described, what holds for any."""
    return CAPTIONS.get(name) or Caption(
        clean(name.replace("_", " ")).strip().capitalize() or "A figure",
        "As the notes in the picture say.",
        "Whether a difference is more than chance: see the intervals in the table of scores.",
    )
