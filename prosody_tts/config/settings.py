"""The whole vocabulary of an experiment: typed settings and their defaults.

Settings marked ``(ours)`` are not given by the papers.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from prosody_tts.config.registries import Keys

CorpusName = Annotated[str, Keys("data_modules.corpora", "CORPORA")]
Part = Literal[
    "train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "dev-other", "test-clean", "test-other"
]
Size = Literal["smoke", "demo", "paper"]
Units = Literal["utterance", "word", "phone"]
Context = Annotated[str, Keys("prosody_tts.nn.context", "CONTEXTS")]
LanguageTask = Literal["speak", "recognise", "write", "continue"]
Prior = Annotated[str, Keys("prosody_tts.nn.priors", "PRIORS")]
Family = Literal["none", "tacotron2", "durian", "kathaka", "camp", "word", "phone", "explicit", "timing", "prominence"]
AudioPreset = Literal["papers", "hifigan", "speecht5", "vocos", "bigvgan"]
VocoderName = Annotated[str, Keys("prosody_tts.vocoders", "VOCODERS")]

#: What ``corpus_path`` must be, of the corpora that need it.
CORPUS_PATHS = {
    "folder": "a folder with wavs/ and metadata.csv",
    "ljspeech": "LJSpeech-1.1 or the folder it lies in",
    "libritts": "LibriTTS or the folder it lies in",
    "libritts_r": "LibriTTS_R or the folder it lies in",
    "vctk": "VCTK-Corpus-0.92 or the folder it lies in",
    "cutset": "a lhotse manifest (.jsonl or .jsonl.gz), or a folder of them",
    "shar": "a folder of cuts.NNNNNN.jsonl.gz and recording.NNNNNN.tar (lhotse's Shar format)",
}

#: Corpora of labels without recordings, and the dimensions of their explicit vectors, in order.
LABELS: dict[str, tuple[str, ...]] = {"ljspeech_timing": ("timing", "pause"), "helsinki": ("prominence", "boundary")}

#: Corpora whose names tell what is read before and after an utterance.
ORDERED: tuple[CorpusName, ...] = ("ljspeech", "libritts", "libritts_r", "ljspeech_timing", "helsinki")

#: How many discrete classes each dimension of a corpus's labels has beside its numbers; 0 where there are none.
LABEL_CLASSES: dict[str, tuple[int, ...]] = {"ljspeech_timing": (0, 2), "helsinki": (3, 3)}

#: Dimensions of explicit vectors by unit, in order (``nn.reference.explicit``).
EXPLICIT: dict[Units, tuple[str, ...]] = {
    "utterance": ("f0", "f0_range", "f0_rise", "energy", "energy_range", "energy_rise", "pace"),
    "word": ("f0", "voicing", "energy", "pace"),
    "phone": ("f0", "voicing", "energy", "pace"),
}

#: Pre-trained vocoders, and the audio preset whose mel each was trained on.
PRETRAINED: dict[str, AudioPreset] = {"speecht5": "speecht5", "hifigan": "hifigan", "univnet": "bigvgan"}

#: Where pre-trained vocoders come from unless ``synthesis.vocoder_path`` says so: identifiers on the Hugging Face hub.
HUB_VOCODERS = {"speecht5": "microsoft/speecht5_hifigan", "univnet": "dg845/univnet-dev"}

CHECKOUT = Path(__file__).resolve().parents[2]
#: Where experiments/ and sweeps/ lie: beside the packages of a checkout, within an installed one (see setup.py).
ROOT = CHECKOUT if (CHECKOUT / "experiments" / "base.yaml").exists() else CHECKOUT / "prosody_tts" / "shipped"
EXPERIMENTS = ROOT / "experiments"


@dataclass
class RunConfig:
    """How and where to run; nothing here changes a result."""

    folder: str = "runs"
    """Where stages, caches and reports are kept."""
    workers: int = 2
    """Processes that train or evaluate stages at the same time."""
    threads: int = 1
    """Threads of each worker."""
    feature_workers: int | None = None
    """Processes that measure a corpus's recordings; none takes as many as ``run.workers``."""
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """Lightning's accelerator."""
    devices: int = 1
    """Devices per stage, each with a share of every batch (Lightning DDP above 1). The losses are those of one device
    but for rounding and the draws of dropout and variational vectors."""
    loader_workers: int = 0
    """Processes per device that prepare batches, each keeping what it has room for; 0 prepares them between steps, best
    where the corpus fits in memory."""
    checkpoint_steps: int | None = None
    """Steps between checkpoints within an epoch; there is one at the end of every epoch besides."""
    checkpoint_minutes: float | None = 10.0
    """Minutes between checkpoints within an epoch; a killed training loses no more."""
    samples_every: int = 0
    """Epochs between samples of stage one: pictures and sound of a few development utterances, and how much the vectors
    say, in ``samples`` of its folder and in W&B; 0 makes none."""
    wandb: Literal["disabled", "offline", "online"] = "disabled"
    """Weights & Biases logging."""
    project: str = "prosody_tts"
    """W&B project."""
    group: str | None = None
    """W&B group; a sweep sets it."""
    artifacts: Literal["none", "wandb"] = "none"
    """Where stages are shared beyond the folder of runs. With wandb, one that is not there is fetched from the
    artifacts of the W&B project before it is made, and uploaded when it was made here; the corpus, which names
    recordings on this machine, is not shared. With run.wandb=offline nothing can be fetched, and wandb sync uploads
    from the folder of runs, where the stages must still be."""
    progress: bool = True
    """Show progress."""


@dataclass
class DataConfig:
    """Which utterances, and how many."""

    seed: int = 0
    """Seed of the testbed and of splits."""
    train_sentences: int = 1000
    """Testbed: training sentences."""
    dev_sentences: int = 60
    """Testbed: development sentences."""
    test_sentences: int = 60
    """Testbed: test sentences."""
    renditions: int = 4
    """Testbed: renditions of every development and test sentence."""
    speakers: int = 1
    """Testbed: voices that share the sentences evenly; all renditions of a sentence have one voice."""
    dev_share: float = 0.08
    """Real corpora: share of sentences held out for development."""
    test_share: float = 0.12
    """Real corpora: share of sentences held out for testing."""
    dev_count: int | None = None
    """Real corpora: how many sentences are held out for development; none holds out ``dev_share`` of them."""
    test_count: int | None = None
    """Real corpora: how many sentences are held out for testing; none holds out ``test_share`` of them."""
    min_seconds: float = 1.0
    """Real corpora: shorter recordings are left out."""
    max_seconds: float = 15.0
    """Real corpora: longer recordings are left out."""
    limit: int | None = None
    """Real corpora: at most this many utterances."""
    learn_from: int | None = None
    """Training sentences that stage one, stage two and separate durations learn from, fewer always among more; none
    learns from all. The corpus, its features, its alignment and its test stay as they are."""
    speeds: list[float] = field(default_factory=list)
    """Speeds at which a stage one with vectors hears every training recording besides, as in [0.9,1.1], for small
    corpora (ours); one without hears the recordings as they are, as often."""
    allowed_bad: float = 0.05
    """Share of utterances that may be faulty before the corpus is refused."""
    splits: str | None = None
    """Real corpora: a folder with ``dev.txt``, ``test.txt`` and, unless it is the rest, ``train.txt``, an id a line, or
    a ``splits.json``; none lets the corpus or a hash decide."""
    parts: list[Part] = field(default_factory=list)
    """LibriTTS: the parts to use; none uses all there are (and downloads train-clean-100, dev-clean and test-clean)."""
    download: bool = False
    """ljspeech, libritts, libritts_r, vctk: fetch what ``corpus_path`` does not hold, many gigabytes."""


@dataclass
class AudioConfig:
    """Analysis of recordings: log-mel spectrogram, F0, energy."""

    sample_rate: int = 16000
    """Hz; recordings are resampled to it."""
    hop: int = 200
    """Samples between frames (12.5 ms at 16 kHz, as in both papers)."""
    window: int = 800
    """Samples of the Hann window (ours)."""
    fft: int = 1024
    """Points of the FFT (ours)."""
    mels: int = 80
    """Mel channels, as in both papers."""
    mel_low: float = 0.0
    """Hz, lower edge of the mel filters (ours)."""
    mel_high: float = 8000.0
    """Hz, upper edge of the mel filters (ours)."""
    floor: float = 1e-5
    """Magnitudes below it are clipped before the logarithm (ours)."""
    f0_low: float = 60.0
    """Hz, lowest F0 searched."""
    f0_high: float = 500.0
    """Hz, highest F0 searched."""
    f0_tracker: Literal["praat", "pyin"] = "praat"
    """Praat's autocorrelation (Boersma 1993), or librosa's pYIN (Mauch and Dixon 2014), some twenty times slower."""
    preset: AudioPreset = "papers"
    """Numbers of this group from ``experiments/audio``: the papers', or those a public vocoder was trained on."""
    mel_scale: Literal["slaney", "htk"] = "slaney"
    """Formula from Hz to mel."""
    mel_norm: Literal["slaney", "none"] = "slaney"
    """``slaney``: filters of unit area; ``none``: filters of unit height."""
    padding: Literal["zeros", "reflect", "half_hop"] = "zeros"
    """What surrounds a clip. With ``zeros`` and ``reflect`` there are 1 + n // hop frames, frame t centred on sample
    t * hop; ``half_hop`` reflects less, as HiFi-GAN does: n // hop frames, centred half a hop later."""
    power_floor: float = 0.0
    """Added to squared magnitudes before the mel filters (HiFi-GAN: 1e-9)."""
    level_db: float | None = None
    """Loudness every recording is brought to: RMS of its active frames, dB of full scale; none leaves it as it is."""
    trim_db: float | None = None
    """Cut silence at both ends of a recording: what lies this many dB below its loudest frame; none cuts nothing."""
    trim_margin: float = 0.05
    """Seconds of silence that trimming leaves at both ends."""


@dataclass
class TextConfig:
    """Analysis of text."""

    normaliser: Literal["none", "light", "nemo"] = "light"
    """How numbers, dates and abbreviations of raw text become words: small rules on num2words, NVIDIA's grammars (an
    extra, slow), or not at all. Texts that a corpus has normalised itself are left alone."""
    pronouncer: Literal["auto", "cmudict", "espeak"] = "auto"
    """Where phones come from; ``auto`` is espeak for the testbed and CMUdict with a G2P for speech."""
    parser: str = "en_core_web_sm"
    """spaCy pipeline."""
    bert: str = "minilm"
    """``minilm`` (from a registry package), a hub identifier such as ``bert-base-uncased``, or a folder."""
    bert_layer: int = 2
    """Layer whose states are used; 0 is the embedding layer, -1 the last. The default is MiniLM's best on the testbed's
    development split: its last layers were tuned for one vector a sentence (ours)."""
    neighbours: int = 0
    """Sentences before and after it that BERT reads besides, as far as they fit (both papers ask for it): of ljspeech,
    ljspeech_timing, libritts, libritts_r and helsinki, whose names tell the order, and of text that is spoken."""
    tree: Literal["dependency", "constituency", "gold"] = "dependency"
    """Parse graph: spaCy's dependency tree, phrases projected from it, or the corpus's gold phrase tree."""


@dataclass
class OptimConfig:
    """Adam, as in both papers, with linear warm-up and exponential decay."""

    precision: Literal["float32", "bf16", "auto"] = "auto"
    """Numbers of matrix products: 32 bits, or bfloat16 beside 32-bit weights; ``auto`` is bfloat16 on a GPU that has
    it. A stage's ``result.json`` tells which it was (``precision_bits``)."""

    learning_rate: float = 1e-3
    """Peak learning rate."""
    final_rate: float = 0.1
    """Share of the peak reached by the decay ``whole`` at the last step, by ``window`` at ``decay_until`` (ours)."""
    decay: Literal["whole", "epochs", "window"] = "whole"
    """How the rate falls, always exponentially: ``whole`` over all steps (ours); ``epochs`` by ``decay_factor`` after
    every epoch (CAMP, section 3; that 0.98 is per epoch is our reading); ``window`` between two steps, to the share
    ``final_rate`` (arXiv 2301.11446: from 10,000 to 100,000, to a rate of 1e-5)."""
    decay_factor: float = 0.98
    """Factor of ``decay=epochs`` (CAMP, section 3)."""
    decay_from: int = 10000
    """First step of ``decay=window`` (arXiv 2301.11446)."""
    decay_until: int = 100000
    """Last step of ``decay=window`` (arXiv 2301.11446)."""
    warmup: float = 0.05
    """Share of the steps spent in linear warm-up (ours)."""
    warmup_steps: int | None = None
    """Steps of warm-up instead of a share (arXiv 2301.11446: 10,000)."""
    warmup_start: float = 0.0
    """Share of the peak from which the warm-up rises (arXiv 2301.11446: 0.1)."""
    batch: int = 20
    """Utterances per batch (ours)."""
    epochs: int = 25
    """Passes over the training set (ours)."""
    clip: float = 1.0
    """Largest gradient norm (ours)."""
    weight_decay: float = 0.0
    """AdamW's decoupled weight decay (ours)."""
    ema: float | None = None
    """Decay of an exponential moving average of the weights, as in 0.999, which is validated and kept instead of the
    last ones (ours); none averages nothing."""
    patience: int | None = None
    """Epochs without a better development metric (stage one: mel, stage two: vectors, aligner: surprise) after which
    training stops (ours); none trains all epochs."""
    find_rate: bool = False
    """Look for the learning rate first, in a short training whose rate rises (Smith, arXiv 1506.01186), and use it
    instead of ``learning_rate``; ``rate.png`` in the stage's folder shows it."""
    compile: bool = False
    """Translate the model's parts by ``torch.compile``, which rounds differently (ours)."""


@dataclass
class AlignerConfig:
    """The learned aligner for corpora without an alignment."""

    width: int = 96
    """Channels (ours)."""
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(learning_rate=2e-3, epochs=15, batch=16))
    """Optimisation."""


@dataclass
class AcousticConfig:
    """Stage one: phones and prosody vectors to mel spectrograms."""

    reference: Literal["none", "variational", "deterministic", "explicit"] = "none"
    """Where prosody vectors come from: nowhere (baseline), a Gaussian a unit (Kathaka), a point a unit (CAMP), or
    measured F0, energy and duration with no encoder (ours)."""
    hearing: Literal["convolutional", "gst", "camp", "gated"] = "convolutional"
    """What hears a recording below a learned posterior: two convolutions and a BiLSTM (ours); Kathaka's six 2-D
    convolutions and GRU (of utterances); CAMP's three convolutions and two BiLSTMs; six gated convolutions and a BiLSTM
    (arXiv 2301.11446)."""
    reference_phones: bool = True
    """Whether the reference encoder is given the phones' states, as CAMP's is; Kathaka's hears the mel alone."""
    conditioning: Literal["placed", "concatenated"] = "placed"
    """How phones meet their vector: shifted and scaled by it, place by place (ours), or with it beside them (both
    papers)."""
    encoder: Literal["fast", "tacotron2"] = "fast"
    """``tacotron2``: Tacotron-2's phone encoder, as in CAMP; ``fast``: residual convolutions, told a phone's place
    (ours)."""
    decoder: Literal["harmonic", "parallel", "autoregressive", "camp", "attention"] = "harmonic"
    """``parallel``: convolutions; ``harmonic``: convolutions that say F0 and draw harmonics there (ours);
    ``autoregressive``: Kathaka's modified DurIAN and CAMP's DurIAN+; ``camp``: CAMP's; ``attention``: Tacotron-2's,
    which is told no durations and finds them itself."""
    knots: int = 5
    """Places in a unit at which its vector has a meaning of its own where it is ``placed`` and for ``contour_weight``;
    between them it is interpolated (ours)."""
    latent: int = 8
    """Dimensions of a prosody vector (both papers leave it open; arXiv 2301.11446 has 64 and 8)."""
    pool: Literal["last", "middle", "mean", "ends", "ninths"] = "last"
    """How frames become one vector a unit; CAMP takes the last frame, arXiv 2301.11446 the middle one, of utterances
    both ends."""
    kl: float = 1e-4
    """Weight of the Kullback-Leibler term after annealing, per frame-normalised loss (ours)."""
    kl_warmup: float = 0.3
    """Share of the steps over which the weight grows linearly from 0 (CopyCat anneals linearly)."""
    kl_free: float = 0.0
    """Free bits, in nats: less divergence than this costs nothing (Kingma et al., arXiv 1606.04934, appendix C.8)."""
    kl_free_of: Literal["dimension", "unit"] = "dimension"
    """What has ``kl_free``: each dimension of the vectors, its divergence averaged over a batch, or each unit."""
    kl_every: int = 1
    """The Kullback-Leibler term counts every so many steps (arXiv 1812.04342: 100)."""
    kl_every_later: int | None = None
    """And from step ``kl_later`` every so many (arXiv 1812.04342: 400); none goes on as before."""
    kl_later: int = 15000
    """Training step from which ``kl_every_later`` holds (arXiv 1812.04342)."""
    width: int = 128
    """Channels (ours)."""
    phone_layers: int = 3
    """Convolutions of the phone encoder (Tacotron-2: 3)."""
    phone_recurrent: int = 1
    """encoder=tacotron2: BiLSTMs after them (Tacotron-2 and CAMP's text: 1; CAMP's figure in Hodari's thesis: 2)."""
    decoder_layers: int = 4
    """Convolutions of the decoder (CAMP: 3; of the others ours)."""
    recurrent: int = 128
    """decoder=autoregressive and attention: units of LSTMs (Tacotron-2: 1024)."""
    recurrent_layers: int = 2
    """decoder=autoregressive, camp and attention: LSTMs of the decoder, an attention's own included (Tacotron-2: 2;
    CAMP: 3, and 4 of its s2s)."""
    prenet: int = 64
    """decoder=autoregressive and attention: units of the pre-net (Tacotron-2: 256)."""
    prenet_dropout: float = 0.5
    """Its dropout (Tacotron-2: 0.5)."""
    prenet_always: bool = True
    """Whether it drops at synthesis too, as Tacotron-2's does; by ``seed``: the same seed gives the same speech."""
    postnet: Literal["convolutional", "harmonic"] = "convolutional"
    """decoder=autoregressive and attention: ``convolutional`` adds to the mel (Tacotron-2); ``harmonic`` draws it anew
    from what every step read of the text, as decoder=harmonic does (ours)."""
    postnet_layers: int = 0
    """decoder=autoregressive and attention: convolutions of the post-net (Tacotron-2: 5; Kathaka has none); 0 builds
    none."""
    conv_dropout: float = 0.5
    """Dropout of Tacotron-2's convolutions: encoder=tacotron2, the post-net and decoder=camp (Tacotron-2: 0.5)."""
    own_frames: float = 0.0
    """decoder=autoregressive and attention: share of the frames heard in training that are the decoder's own at last
    (ours); 0 is teacher forcing."""
    own_warmup: float = 0.5
    """Share of the steps over which it grows linearly from 0 (ours)."""
    attention: int = 64
    """decoder=attention: dimensions of query and keys (Tacotron-2: 128)."""
    guide_weight: float = 0.0
    """decoder=attention: weight of the guided attention loss (Tachibana et al., arXiv 1710.08969)."""
    stop_weight: float = 1.0
    """decoder=attention: weight of the stop token's loss."""
    shortest: float = 1.0
    """decoder=attention: frames a phone before which no sentence ends (ours)."""
    longest: float = 30.0
    """decoder=attention: frames a phone at which every sentence is cut off (ours)."""
    mel_loss: Literal["l1", "l2"] = "l1"
    """Distance of mels: CAMP has L1; L2 is that of Kathaka's sister paper (arXiv 2106.15649) and Tacotron-2."""
    kernel: int = 5
    """Width of convolutions, in phones or decoder steps."""
    frames_per_step: int = 2
    """Frames per decoder step (ours; the papers use 1)."""
    dropout: float = 0.0
    """Dropout (arXiv 2301.11446: 0.1, for 500,000 steps; short schedules are better without)."""
    duration_weight: float = 0.1
    """Weight of the duration loss (ours)."""
    source_weight: float = 0.1
    """Weight of the harmonic decoder's loss of F0 and voicing by frame (ours)."""
    readout_weight: float = 0.1
    """Weight of the head that reads word F0 and energy from the decoder's states (ours)."""
    readout_listens: bool = False
    """Whether that head only listens, so that its loss shapes no other module."""
    contour_weight: float = 0.1
    """Weight of the head that reads word F0 and energy from the prosody vectors alone (ours); 0 builds none."""
    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(learning_rate=4e-3, final_rate=0.05, batch=8, epochs=11)
    )
    """Optimisation; many small steps at a high rate draw harmonics sooner than few large ones (ours)."""


@dataclass
class SamplerConfig:
    """Stage two: text to prosody vectors."""

    contexts: list[Context] = field(default_factory=lambda: ["bert"])
    """What is known of the text; encoders' outputs are concatenated."""
    prior: Prior = "gaussian"
    """``gaussian``: KL to the posterior (Kathaka); ``autoregressive``: Huber (CAMP); ``flow``: likelihood by invertible
    splines; ``diffusion`` and ``flow_matching``: learn to denoise; ``tokens``: cross-entropy over quantised vectors."""
    kl_direction: Literal["sampler_posterior", "posterior_sampler"] = "sampler_posterior"
    """``sampler_posterior`` is KL(sampler || posterior), as Kathaka prints it."""
    width: int = 64
    """Channels of context encoders (ours)."""
    recurrent: int = 128
    """Units of the prior's recurrent layers (ours)."""
    dropout: float = 0.3
    """Dropout, of whole channels of a sentence (ours)."""
    huber: float = 4.0
    """Threshold of the Huber loss, in standard deviations of the vectors; CAMP has 1, in a scale it does not print."""
    own: float = 0.9
    """Share of sentences on which the autoregressive prior is trained with its own previous vectors (ours)."""
    rank: int = 0
    """Directions in which a Gaussian's units vary together over the sentence; 0 is Kathaka's diagonal Gaussian, which
    draws every unit by itself (ours)."""
    transforms: int = 3
    """Spline transforms of a flow (ours)."""
    bins: int = 8
    """Pieces of each spline of a flow (ours)."""
    codes: int = 64
    """Codes of each codebook of ``tokens`` (ours)."""
    codebooks: int = 2
    """Codebooks of ``tokens``, each of what those before it left over (ours)."""
    denoiser_layers: int = 4
    """Layers of the network of ``diffusion`` and ``flow_matching`` (ours)."""
    bert: Literal["frozen", "tuned"] = "frozen"
    """BERT's states from the cache, or BERT trained along, as both papers do, at ``bert_rate``."""
    bert_rate: float = 5e-5
    """Peak learning rate of a tuned BERT (ours; the papers print none)."""
    bert_tuned: int | None = None
    """Layers of a tuned BERT that are trained, counted from ``text.bert_layer`` downwards; those below stay as they
    are, with the embeddings. None trains all (ours)."""
    graph: Literal["gat", "gatv2", "gated"] = "gat"
    """Message passing: graph attention (Kathaka), its second version, or gated recurrent units (ours)."""
    passes: int | None = None
    """Graph message passes; none takes the 75th percentile of the corpus's graph diameters, as Kathaka does."""
    classes_weight: float = 0.0
    """Corpora of labels: weight of the cross-entropy of the discrete classes beside the labels' own loss; the head that
    it trains then decides on classes. 0 has no head, and thresholds on predicted labels decide (ours)."""
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(learning_rate=2e-3, epochs=12, batch=32))
    """Optimisation; the epoch that is best on the development split is kept (ours)."""


@dataclass
class DurationConfig:
    """How long phones and pauses last: the model, and where it is trained."""

    trained: Literal["joint", "separate"] = "joint"
    """``joint``: within stage one, on its phone states, which the loss shapes too (CAMP, DurIAN+); ``separate``: after
    it, on phone states of its own (Kathaka), as a stage by itself; stage one then has no duration model."""
    network: Literal["convolutional", "recurrent", "camp"] = "convolutional"
    """``convolutional``: convolutions with a BiLSTM beside them (ours); ``recurrent``: two BiLSTMs (ours, for Kathaka,
    which prints no layers); ``camp``: BiLSTM, three convolutions, LSTM (CAMP)."""
    target: Literal["log", "grouped"] = "log"
    """``log``: log(1 + frames) (ours); ``grouped``: frames z-normalised, phones and pauses each by their own mean and
    standard deviation (Kathaka, equation 1)."""
    error: Literal["l1", "l2"] = "l1"
    """Absolute (CAMP) or squared (Kathaka) error of the target."""
    vectors: Literal["recording", "sampled"] = "recording"
    """Vectors on which a separate model of a system with stage two is trained: the recording's own, or draws of stage
    two, new ones at every step (Kathaka's third step). An oracle's are the recording's, and a baseline has none."""
    width: int = 128
    """Channels of a separate model (ours); a joint one has stage one's."""
    phone_layers: int = 3
    """Convolutions of a separate model's phone encoder (Tacotron-2: 3)."""
    kernel: int = 5
    """Width of a separate model's convolutions, in phones."""
    dropout: float = 0.1
    """Dropout of a separate model, of whole channels of a sentence (ours)."""
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(learning_rate=2e-3, epochs=20, batch=8))
    """Optimisation of a separate model; the epoch that is best on the development split is kept (ours)."""


@dataclass
class VocoderConfig:
    """The vocoder of ``synthesis.vocoder=source_filter``, trained on the corpus, once for all systems."""

    width: int = 128
    """Channels of the backbone (ours; Vocos has 512)."""
    layers: int = 4
    """ConvNeXt blocks of the backbone (ours; Vocos has 8)."""
    kernel: int = 7
    """Width of convolutions, in frames, as in Vocos."""
    corrections: int = 2
    """Times that the rendered envelope is measured and what it lacks of the mel is made up for (ours)."""
    seconds: float = 0.8
    """Length of the stretches of recordings it is trained on (ours)."""
    pitch_weight: float = 0.2
    """Weight of reading F0 from the mel: cross-entropy, nats per voiced frame (ours)."""
    adversarial: bool = False
    """Train against discriminators of several periods and resolutions besides, for long schedules (as Vocos does)."""
    adversarial_from: float = 0.25
    """Share of the steps after which discriminators are heard (ours)."""
    adversarial_weight: float = 0.1
    """Weight of the hinge loss against the discriminators (ours)."""
    matching_weight: float = 0.1
    """Weight of the distance of the discriminators' features (ours)."""
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(learning_rate=2e-3, batch=16, epochs=16))
    """Optimisation; an epoch hears one stretch of every recording, at a place that changes."""


@dataclass
class TokenizerConfig:
    """Mel spectrograms to integers and back."""

    kind: Literal["learned", "binned"] = "learned"
    """``learned``: a VQ-VAE on mels (arXiv 2402.08093); ``binned``: every channel in bins of its own, without training
    (dMel, arXiv 2407.15835)."""
    quantizer: Literal["vq", "fsq"] = "fsq"
    """``vq``: codebooks that follow the vectors, each of what those before it left over; ``fsq``: a few dimensions,
    each rounded (finite scalar quantization, arXiv 2309.15505)."""
    segment: int = 4
    """Frames a segment has: 4 are 50 ms (XTTS has 46 ms; BASE TTS 40 ms)."""
    codebooks: int = 2
    """Integers a segment has; ``binned`` has one a mel channel."""
    codes: int = 512
    """Codes of each codebook, for ``fsq`` the product of levels that is near it; bins of each channel (dMel: 16)."""
    width: int = 128
    """Channels (ours)."""
    layers: int = 3
    """Convolutions that hear frames (ours)."""
    kernel: int = 5
    """Width of convolutions, in frames (ours)."""
    decoder_layers: int = 4
    """Convolutions of the decoder (ours)."""
    dropout: float = 0.0
    """Dropout of whole channels of an utterance (ours)."""
    commitment: float = 0.25
    """Weight of the distance of vectors from their codes (arXiv 1711.00937)."""
    source_weight: float = 0.1
    """Weight of the harmonic decoder's loss of F0 and voicing by frame (ours)."""
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(learning_rate=2e-3, epochs=12, batch=8))
    """Optimisation."""


@dataclass
class LanguageConfig:
    """A causal language model over phones, characters and the codes of speech."""

    tasks: list[LanguageTask] = field(default_factory=lambda: ["speak"])
    """What one model learns, in batches that mix them (VoxtLM, arXiv 2309.07937): ``speak``, phones to speech;
    ``recognise``, speech to characters; ``write``, text alone; ``continue``, speech alone."""
    order: Literal["interleaved", "prefix"] = "interleaved"
    """``interleaved``: each phone stands again before its own segments, so that the model is told where it is (after
    ELLA-V, arXiv 2401.07333); ``prefix``: all phones, then all segments (BASE TTS, arXiv 2402.08093)."""
    contexts: list[Context] = field(default_factory=list)
    """What is known of the text beside the phones, added wherever a phone stands; none for phones alone."""
    head: Literal["depth", "parallel"] = "depth"
    """Whether a segment's codebooks know each other."""
    width: int = 192
    """Channels (ours)."""
    layers: int = 4
    """Layers (ours)."""
    heads: int = 4
    """Attention heads (ours)."""
    context_width: int = 64
    """Channels of a context encoder (ours)."""
    dropout: float = 0.1
    """Dropout of embeddings, attention and outputs (ours)."""
    forgotten: float = 0.2
    """Share of segments that are not heard again in training (ours)."""
    top_k: int = 0
    """Draw among so many of the likeliest; 0 for all."""
    top_p: float = 0.95
    """Draw among the likeliest that have this probability together."""
    repeats: int = 12
    """Times that a code may follow itself; 0 for any number."""
    longest: int = 24
    """Segments that a phone lasts at most."""
    longest_text: int = 4
    """Characters that are written for a segment of speech at most, on average over the sentence."""
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(learning_rate=1e-3, epochs=20, batch=16))
    """Optimisation; the epoch that is best on the development split is kept (ours)."""


@dataclass
class RecogniserConfig:
    """A recogniser trained on recordings, on a system's speech, or on both, and tested on recordings."""

    hears: Literal["nothing", "recordings", "synthesis", "both"] = "nothing"
    """What it is trained on; ``nothing``: there is none, and the system's speech is what is measured."""
    model: Literal["ctc", "language"] = "ctc"
    """``ctc``: a model of its own, which the other settings of this group are about; ``language``: the language model
    of ``language.``, which writes what it reads in codes, character by character, the likeliest each time."""
    recordings: int | None = None
    """Training sentences whose recordings it hears; none is all of them. The system's speech says all texts."""
    width: int = 144
    """Channels (ours)."""
    layers: int = 3
    """Layers of the transformer (ours)."""
    heads: int = 4
    """Attention heads (ours)."""
    kernel: int = 5
    """Width of convolutions, in steps of two frames (ours)."""
    dropout: float = 0.1
    """Dropout (ours)."""
    masked: float = 0.15
    """Share of channels, and of time, that each of two masked bands takes at most (SpecAugment, arXiv 1904.08779)."""
    beams: int = 16
    """Texts that the search keeps at each step; 1 takes the likeliest class of each step."""
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(learning_rate=1e-3, epochs=30, batch=16))
    """Optimisation; the epoch that is best on the development split is kept (ours)."""


@dataclass
class SynthesisConfig:
    """From vectors to waveforms."""

    vocoder: VocoderName = "griffin_lim"
    """Mel to waveform. ``griffin_lim`` needs no training, ``source_filter`` is trained on the corpus (``vocoder.``);
    the others are public HiFi-GAN and UnivNet models that need the ``audio.preset`` they were trained on. Vocos and
    BigVGAN have presets only: their packages bring torchaudio, or a dozen more, so speak their mels elsewhere."""
    vocoder_path: str | None = None
    """Folder (config.json with model.safetensors, as transformers saves them) or hub identifier of a pre-trained
    vocoder; none takes microsoft/speecht5_hifigan or dg845/univnet-dev. ``hifigan`` has no default: it needs a
    FastSpeech2ConformerHifiGan that takes natural-log mels as they are. The hub's espnet/fastspeech2_conformer_hifigan
    takes others (log10, 80-7600 Hz), normalised by figures that are not in it."""
    iterations: int = 32
    """Griffin-Lim iterations."""
    temperature: float = 0.0
    """Scale of the spread of stage two's draws, or of a language model's; 0 takes the mean, or the likeliest."""
    steps: int = 8
    """Steps in which ``diffusion`` and ``flow_matching`` draw, asking their network twice in each (ours)."""
    speaker: str | None = None
    """Whose voice speaks text; none is the only speaker's. An evaluation speaks every sentence in its own speaker's."""


@dataclass
class EvaluationConfig:
    """How systems are measured."""

    split: Literal["dev", "test"] = "test"
    """Which held-out sentences; nothing is tuned on test."""
    limit: int | None = None
    """At most this many sentences."""
    samples: int = 0
    """Draws a sentence whose distribution is held against the recordings': of stage two at temperature 1, of a language
    model at its own, or at 1 where that is 0."""
    recogniser: Literal["none", "whisper", "ours"] = "none"
    """What listens to every system's speech and to copy synthesis, for word and character error rates: Whisper
    (``pip install -e '.[asr]' -c constraints.txt``), or a recogniser that was trained here."""
    recogniser_path: str | None = None
    """``whisper``: a folder, an installed package that holds one, or a hub identifier, of a model of CTranslate2; none
    takes Systran/faster-whisper-tiny.en. ``ours``: runs/recogniser/IDENTITY, with what a recogniser's training left."""
    quality: Literal["none", "dnsmos"] = "none"
    """What guesses listeners' scores of every system's audio, as a check that it is clean and never as naturalness:
    DNSMOS (``pip install -e '.[quality]' -c constraints.txt``)."""
    resamples: int = 2000
    """Bootstrap resamples."""
    confidence: float = 0.95
    """Coverage of intervals."""


@dataclass
class Experiment:
    """One system on one corpus: a point on the three axes units, context and prior."""

    system: str = "baseline"
    """Name of the system; the experiment file sets it."""
    corpus: CorpusName = "testbed"
    """Which corpus."""
    corpus_path: str | None = None
    """Folder of the corpus, for ``cutset`` a manifest and for ``helsinki`` a .txt file, or a folder of them: optional
    for ``allison``, unused by ``testbed``, required by the others."""
    aligned_by: str | None = None
    """Folder of a trained aligner to use instead of training one on this corpus."""
    textgrids: str | None = None
    """Folder, .tar, .tar.xz or .zip of Praat TextGrids (tiers ``words`` and ``phones``, as the Montreal Forced Aligner
    writes them), one ``ID.TextGrid`` for each recording: its times and phones are used instead of an aligner's."""
    size: Size = "demo"
    """Preset of widths and schedules, from ``experiments/sizes``."""
    family: Family = "none"
    """Whose stages the system has: settings of ``experiments/families``, shared by its ablations."""
    design: Literal["fast", "paper"] = "fast"
    """``fast``: one decoder and one kind of encoder for all families, so that they differ in nothing but their axes;
    ``paper``: the modules of the family's own paper, from ``experiments/designs``. ``size=paper`` sets it."""
    seed: int = 0
    """Seed of weights, batches and samples."""
    backbone: Literal["acoustic", "tokens"] = "acoustic"
    """``acoustic``: phones and prosody vectors to mel (stage one), vectors from text (stage two); ``tokens``: mels as
    an acoustic tokenizer's codes, which a language model says (spectrum quantization)."""
    units: Units = "utterance"
    """What one prosody vector stands for."""
    vectors: Literal["none", "recording", "predicted", "labels"] = "none"
    """Vectors at synthesis: none (baseline), the recording's own (oracle), or stage two's; with ``labels`` stage two
    learns the labels of a corpus without recordings, and nothing is synthesised."""
    run: RunConfig = field(default_factory=RunConfig)
    data: DataConfig = field(default_factory=DataConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    text: TextConfig = field(default_factory=TextConfig)
    aligner: AlignerConfig = field(default_factory=AlignerConfig)
    acoustic: AcousticConfig = field(default_factory=AcousticConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    duration: DurationConfig = field(default_factory=DurationConfig)
    vocoder: VocoderConfig = field(default_factory=VocoderConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    language: LanguageConfig = field(default_factory=LanguageConfig)
    recogniser: RecogniserConfig = field(default_factory=RecogniserConfig)
    synthesis: SynthesisConfig = field(default_factory=SynthesisConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    @property
    def pronouncer(self) -> str:
        """``text.pronouncer`` with ``auto`` resolved: the testbed's phones are eSpeak's, speech has CMUdict's."""
        if self.text.pronouncer != "auto":
            return self.text.pronouncer
        return "espeak" if self.corpus == "testbed" else "cmudict"

    @property
    def has_stage_two(self) -> bool:
        """Whether prosody vectors are predicted from text."""
        return self.backbone == "acoustic" and self.vectors in {"predicted", "labels"}

    @property
    def measures(self) -> Literal["speech", "labels", "recognition"]:
        """What an evaluation of it measures, and so what its report shows."""
        if self.recogniser.hears != "nothing":
            return "recognition"
        return "labels" if self.vectors == "labels" else "speech"

    @property
    def latent(self) -> int:
        """Dimensions of the prosody vectors: the corpus's labels, explicit measures, or as many as stage one learns."""
        if self.vectors == "labels":
            return len(LABELS[self.corpus])
        return len(EXPLICIT[self.units]) if self.acoustic.reference == "explicit" else self.acoustic.latent

    @property
    def tunes_bert(self) -> bool:
        """Whether stage two trains BERT along."""
        return self.sampler.bert == "tuned" and "bert" in self.sampler.contexts

    @property
    def duration_vectors(self) -> Literal["none", "recording", "sampled"]:
        """Vectors on which a separate duration model is trained: ``duration.vectors`` where there is a stage two."""
        if self.acoustic.reference == "none":
            return "none"
        return self.duration.vectors if self.vectors == "predicted" else "recording"

    @property
    def exact_times(self) -> bool:
        """Whether every utterance comes with the times of its phones, so that none need be learned."""
        return self.corpus == "testbed" or self.textgrids is not None


def to_plain(value: Any) -> dict[str, Any]:
    """Turn a settings dataclass into plain dicts, lists and scalars, fit for JSON, checkpoints and W&B."""
    return dataclasses.asdict(value)
