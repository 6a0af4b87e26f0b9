//! The tables: domains, protocol, and rows of method, settings and learner with the published figure.

/// A domain of a table.
pub struct Domain {
    /// What the head of the table calls it.
    pub short: &'static str,
    pub file: &'static str,
    /// The rows that are scored, where they are a file of their own.
    pub test: Option<&'static str>,
    /// Rows of each class that the sampled protocol draws.
    pub per_class: usize,
}

#[derive(Clone, Copy)]
pub enum Protocol {
    /// All source rows; all target rows are adapted to without their labels, and scored. Trained on the target: five
    /// folds.
    FullSource,
    /// Domains are scaled with all rows, then rows of each class are drawn from the source; the mean of the draws.
    SampledSource { n_draws: u64 },
    /// Adapted to unlabelled rows of the target, scored on others that no fit sees.
    Inductive,
}

/// Sources pooled, and the target.
type Listed = &'static [(&'static [&'static str], &'static str)];

#[derive(Clone, Copy)]
pub enum Pairs {
    /// Every domain to every other.
    All,
    Listed(Listed),
}

/// A learner with its settings.
#[derive(Clone, Copy)]
pub struct LearnerChoice {
    pub name: &'static str,
    pub id: &'static str,
    pub params: &'static str,
}

pub struct Row {
    pub label: &'static str,
    pub method: &'static str,
    /// JSON; what is not named has its default.
    pub params: &'static str,
    pub learner: LearnerChoice,
    /// Instead of the table's.
    pub scaling: Option<&'static str>,
    /// The published mean; empty where there is none.
    pub published: &'static str,
}

pub struct Table {
    pub id: &'static str,
    pub title: &'static str,
    pub protocol_words: &'static str,
    pub protocol: Protocol,
    pub folder: &'static str,
    pub domains: &'static [Domain],
    pub pairs: Pairs,
    /// Columns that are neither feature nor label.
    pub ignore: &'static [&'static str],
    pub scaling: &'static str,
    pub metric: &'static str,
    pub rows: &'static [Row],
}

const NEIGHBOR: LearnerChoice = LearnerChoice { name: "1-NN", id: "nearest_neighbors", params: r#"{"n_neighbors":1}"# };
const SVM: LearnerChoice = LearnerChoice { name: "linear SVM, C = 0.001", id: "linear_svm", params: r#"{"c":0.001}"# };
const LOGISTIC: LearnerChoice = LearnerChoice { name: "logistic", id: "logistic", params: "{}" };
/// The strength with the least error in 5-fold cross-validation on the four sources alone.
const LOGISTIC_WEAK: LearnerChoice =
    LearnerChoice { name: "logistic, l2 by the sources", id: "logistic", params: r#"{"l2":0.00025}"# };

const TCA: &str = r#"{"kernel":"linear","n_components":30,"regularization":1.0}"#;

const fn row(
    label: &'static str,
    method: &'static str,
    params: &'static str,
    learner: LearnerChoice,
    published: &'static str,
) -> Row {
    Row { label, method, params, learner, scaling: None, published }
}

const fn domain(short: &'static str, file: &'static str) -> Domain {
    Domain { short, file, test: None, per_class: 20 }
}

/// The methods of the field's table, beside the published figures.
const SURF_ROWS: &[Row] = &[
    row("source only", "source_only", "{}", NEIGHBOR, "31.4"),
    row("source only", "source_only", "{}", SVM, "41.1 (tuned SVM)"),
    row("SA", "subspace_alignment", r#"{"n_components":80}"#, NEIGHBOR, "44.8 (independent code)"),
    row("CORAL", "coral", r#"{"regularization":1.0}"#, SVM, "48.8 (tuned SVM)"),
    row("linear OT", "linear_optimal_transport", "{}", SVM, "45.0 (independent code)"),
    row("GFK", "geodesic_flow_kernel", r#"{"n_components":20}"#, NEIGHBOR, "43.1"),
    row("TCA", "transfer_component_analysis", TCA, NEIGHBOR, "46.2"),
    row("TJM", "transfer_joint_matching", "{}", NEIGHBOR, ""),
    row("JDA", "joint_distribution_adaptation", r#"{"kernel":"linear"}"#, NEIGHBOR, "46.8"),
    row("BDA", "balanced_distribution_adaptation", r#"{"kernel":"linear"}"#, NEIGHBOR, ""),
    row("W-BDA", "balanced_distribution_adaptation", r#"{"kernel":"linear","class_weights":"shares"}"#, NEIGHBOR, ""),
    row("JPDA", "joint_probability_adaptation", r#"{"kernel":"linear"}"#, NEIGHBOR, "48.0 (z-score only)"),
    row("JGSA", "joint_geometrical_statistical_alignment", "{}", NEIGHBOR, "50.0"),
    row("EasyTL", "easy_transfer_learning", "{}", NEIGHBOR, "50.5"),
    row("SPL", "selective_pseudo_labeling", "{}", NEIGHBOR, "52.1 (independent code)"),
    row("MEDA", "manifold_embedded_distribution_alignment", "{}", NEIGHBOR, "52.7"),
    row(
        "CMMS",
        "class_matching_manifold_smoothing",
        "{}",
        NEIGHBOR,
        "53.8 (independent code; the scale of P was chosen by this table: oracle)",
    ),
    row("target only (oracle)", "target_only", "{}", NEIGHBOR, ""),
];

/// Other methods and settings on the same tasks.
const SURF_MORE_ROWS: &[Row] = &[
    row("source only", "source_only", "{}", LOGISTIC, ""),
    row("PCA", "pca", r#"{"n_components":20}"#, NEIGHBOR, "43.6"),
    row("SA", "subspace_alignment", r#"{"n_components":20}"#, NEIGHBOR, "43.9 (independent code)"),
    row("CORAL", "coral", r#"{"regularization":1.0}"#, NEIGHBOR, "35.8 (independent code)"),
    row("MIDA", "maximum_independence", "{}", NEIGHBOR, ""),
    row("location and scale by MMD", "mmd_location_scale", "{}", SVM, ""),
    row("f-MMD", "feature_selection_mmd", "{}", SVM, ""),
    row("self-training", "self_training", "{}", LOGISTIC, ""),
    row("DASVM", "domain_adaptation_svm", "{}", SVM, ""),
    row("target only (oracle)", "target_only", "{}", SVM, ""),
];

/// What every table of deep or pixel features runs with 1-NN.
const NEIGHBOR_ROWS: &[Row] = &[
    row("source only", "source_only", "{}", NEIGHBOR, ""),
    row("SA", "subspace_alignment", r#"{"n_components":60}"#, NEIGHBOR, ""),
    row("TCA", "transfer_component_analysis", TCA, NEIGHBOR, ""),
    row("JDA", "joint_distribution_adaptation", r#"{"kernel":"linear"}"#, NEIGHBOR, ""),
    row("BDA", "balanced_distribution_adaptation", r#"{"kernel":"linear"}"#, NEIGHBOR, ""),
    row("JPDA", "joint_probability_adaptation", r#"{"kernel":"linear"}"#, NEIGHBOR, ""),
    row("JGSA", "joint_geometrical_statistical_alignment", "{}", NEIGHBOR, ""),
    row("TJM", "transfer_joint_matching", "{}", NEIGHBOR, ""),
    row("GFK", "geodesic_flow_kernel", r#"{"n_components":20}"#, NEIGHBOR, ""),
    row("EasyTL", "easy_transfer_learning", "{}", NEIGHBOR, ""),
    row("SPL", "selective_pseudo_labeling", "{}", NEIGHBOR, ""),
    row("MEDA", "manifold_embedded_distribution_alignment", "{}", NEIGHBOR, ""),
    row("CMMS", "class_matching_manifold_smoothing", "{}", NEIGHBOR, ""),
    row("target only (oracle)", "target_only", "{}", NEIGHBOR, ""),
];

const GOOGLENET_ROWS: &[Row] = &[
    row("source only", "source_only", "{}", NEIGHBOR, "89.4 (independent code)"),
    row("source only", "source_only", "{}", SVM, "94.3 (independent code)"),
    row("SA", "subspace_alignment", r#"{"n_components":80}"#, NEIGHBOR, "91.4 (independent code)"),
    row("CORAL", "coral", "{}", SVM, ""),
    row("linear OT", "linear_optimal_transport", "{}", SVM, ""),
    row("TCA", "transfer_component_analysis", TCA, NEIGHBOR, "93.2 (independent code)"),
    row("JDA", "joint_distribution_adaptation", r#"{"kernel":"linear"}"#, NEIGHBOR, "93.7 (independent code)"),
    row("EasyTL", "easy_transfer_learning", "{}", NEIGHBOR, "96.1 (independent code)"),
    row("SPL", "selective_pseudo_labeling", "{}", NEIGHBOR, "96.1 (independent code)"),
    row("MEDA", "manifold_embedded_distribution_alignment", "{}", NEIGHBOR, "96.5 (independent code)"),
    row("CMMS", "class_matching_manifold_smoothing", "{}", NEIGHBOR, "97.4 (independent code)"),
    row("target only (oracle)", "target_only", "{}", SVM, ""),
];

const SAMPLED_ROWS: &[Row] = &[
    row("source only", "source_only", "{}", NEIGHBOR, "27.7"),
    row("SA", "subspace_alignment", r#"{"n_components":79}"#, NEIGHBOR, "40.4 (80 components)"),
    row("TCA", "transfer_component_analysis", TCA, NEIGHBOR, "39.6 (80 components)"),
    row("EasyTL", "easy_transfer_learning", "{}", NEIGHBOR, "46.6 (independent code)"),
    row("SPL", "selective_pseudo_labeling", "{}", NEIGHBOR, "42.2 (independent code)"),
];

/// What every table of measured columns runs.
const LOGISTIC_ROWS: &[Row] = &[
    row("source only", "source_only", "{}", LOGISTIC, ""),
    row("moment matching", "moment_matching", "{}", LOGISTIC, ""),
    row("SA", "subspace_alignment", "{}", LOGISTIC, ""),
    row("CORAL", "coral", "{}", LOGISTIC, ""),
    row("linear OT", "linear_optimal_transport", "{}", LOGISTIC, ""),
    row("location and scale by MMD", "mmd_location_scale", "{}", LOGISTIC, ""),
    row("MIDA", "maximum_independence", "{}", LOGISTIC, ""),
    row("GFK", "geodesic_flow_kernel", "{}", LOGISTIC, ""),
    row("TCA", "transfer_component_analysis", "{}", LOGISTIC, ""),
    row("TJM", "transfer_joint_matching", "{}", LOGISTIC, ""),
    row("JDA", "joint_distribution_adaptation", "{}", LOGISTIC, ""),
    row("BDA", "balanced_distribution_adaptation", "{}", LOGISTIC, ""),
    row("JPDA", "joint_probability_adaptation", "{}", LOGISTIC, ""),
    row("JGSA", "joint_geometrical_statistical_alignment", "{}", LOGISTIC, ""),
    row("f-MMD", "feature_selection_mmd", "{}", LOGISTIC, ""),
    row("KMM", "kernel_mean_matching", "{}", LOGISTIC, ""),
    row("MEDA", "manifold_embedded_distribution_alignment", "{}", LOGISTIC, ""),
    row("CMMS", "class_matching_manifold_smoothing", "{}", LOGISTIC, ""),
    row("EasyTL", "easy_transfer_learning", "{}", LOGISTIC, ""),
    row("SPL", "selective_pseudo_labeling", "{}", LOGISTIC, ""),
    row("self-training", "self_training", "{}", LOGISTIC, ""),
    row("DASVM", "domain_adaptation_svm", "{}", LOGISTIC, ""),
    row("target only (oracle)", "target_only", "{}", LOGISTIC, ""),
];

const INDUCTIVE_ROWS: &[Row] = &[
    Row {
        scaling: Some("none"),
        ..row("source only, counts", "source_only", "{}", LOGISTIC, "75.4 (independent code)")
    },
    row("source only", "source_only", "{}", LOGISTIC, "77.9 (independent code)"),
    row("self-training", "self_training", "{}", LOGISTIC, "80.9 (independent code)"),
    row("source only", "source_only", "{}", LOGISTIC_WEAK, ""),
    row("self-training", "self_training", "{}", LOGISTIC_WEAK, "80.9 (independent code)"),
    row("target only (oracle)", "target_only", "{}", LOGISTIC, ""),
];

const TRANSDUCTIVE_ROWS: &[Row] = &[
    row("source only", "source_only", "{}", LOGISTIC, "77.9 (independent code)"),
    row("self-training", "self_training", "{}", LOGISTIC, "82.3 (independent code)"),
    row("source only", "source_only", "{}", LOGISTIC_WEAK, ""),
    row("self-training", "self_training", "{}", LOGISTIC_WEAK, "82.3 (independent code)"),
];

const SURF: &[Domain] = &[
    domain("C", "caltech.parquet"),
    domain("A", "amazon.parquet"),
    domain("W", "webcam.parquet"),
    Domain { per_class: 8, ..domain("D", "dslr.parquet") },
];

const AMAZON: &[Domain] = &[
    Domain { test: Some("books_test.svmlight"), ..domain("B", "books_train.svmlight") },
    Domain { test: Some("dvd_test.svmlight"), ..domain("D", "dvd_train.svmlight") },
    Domain { test: Some("electronics_test.svmlight"), ..domain("E", "electronics_train.svmlight") },
    Domain { test: Some("kitchen_test.svmlight"), ..domain("K", "kitchen_train.svmlight") },
];

const FIELDS: &[&str] = &["1", "2", "3", "4", "5"];

/// A table of full sources scored by accuracy, from which others differ in what they name.
const PLAIN: Table = Table {
    id: "",
    title: "",
    protocol_words: "Full source, joint z-score, accuracy.",
    protocol: Protocol::FullSource,
    folder: "",
    domains: &[],
    pairs: Pairs::All,
    ignore: &[],
    scaling: "joint_z_score",
    metric: "accuracy",
    rows: LOGISTIC_ROWS,
};

pub static TABLES: &[Table] = &[
    Table {
        id: "surf",
        title: "Office-Caltech10, SURF, full source",
        protocol_words: "All source rows; rows divided by their sum, then each domain's z-score (n − 1).",
        folder: "office_caltech10_surf",
        domains: SURF,
        scaling: "row_sum_domain_z_score",
        rows: SURF_ROWS,
        ..PLAIN
    },
    Table {
        id: "surf_more",
        title: "Office-Caltech10, SURF, full source, other methods",
        protocol_words: "All source rows; rows divided by their sum, then each domain's z-score (n − 1).",
        folder: "office_caltech10_surf",
        domains: SURF,
        scaling: "row_sum_domain_z_score",
        rows: SURF_MORE_ROWS,
        ..PLAIN
    },
    Table {
        id: "surf_sampled",
        title: "Office-Caltech10, SURF, sampled source",
        protocol_words: "20 source rows a class, 8 for dslr; the mean of 10 seeded draws. Rows divided by their sum, \
                         then the z-score of each whole domain, before the draws.",
        protocol: Protocol::SampledSource { n_draws: 10 },
        folder: "office_caltech10_surf",
        domains: SURF,
        scaling: "row_sum_domain_z_score",
        rows: SAMPLED_ROWS,
        ..PLAIN
    },
    Table {
        id: "googlenet",
        title: "Office A/D/W, GoogLeNet, full source",
        protocol_words: "All source rows; each domain's z-score.",
        folder: "office10_googlenet",
        domains: &[domain("A", "amazon.npz"), domain("D", "dslr.npz"), domain("W", "webcam.npz")],
        scaling: "domain_z_score",
        rows: GOOGLENET_ROWS,
        ..PLAIN
    },
    Table {
        id: "digits",
        title: "MNIST ↔ USPS",
        protocol_words: "2000 and 1800 rows of unit length. Published 1-NN: 65.94 and 44.70; MEDA 89.5 and 72.1.",
        folder: "mnist_usps",
        domains: &[domain("M", "mnist.parquet"), domain("U", "usps.parquet")],
        scaling: "l2_rows",
        rows: NEIGHBOR_ROWS,
        ..PLAIN
    },
    Table {
        id: "coil",
        title: "COIL20",
        protocol_words: "Rows of unit length. Published 1-NN: 83.61 and 82.78.",
        folder: "coil20",
        domains: &[domain("1", "coil1.npz"), domain("2", "coil2.npz")],
        scaling: "l2_rows",
        rows: NEIGHBOR_ROWS,
        ..PLAIN
    },
    Table {
        id: "digits8",
        title: "Digits of 8 × 8 pixels",
        protocol_words: "Full source, rows of unit length, accuracy.",
        folder: "digits8",
        domains: &[domain("O", "optdigits.parquet"), domain("M", "mnist.parquet"), domain("U", "usps.parquet")],
        scaling: "l2_rows",
        rows: NEIGHBOR_ROWS,
        ..PLAIN
    },
    Table {
        id: "gas",
        title: "Gas sensors that drift",
        folder: "gas_drift",
        domains: &[
            domain("1", "batch1.parquet"),
            domain("2", "batch2.parquet"),
            domain("3", "batch3.parquet"),
            domain("4", "batch4.parquet"),
            domain("5", "batch5.parquet"),
        ],
        pairs: Pairs::Listed(&[(&["1"], "2"), (&["1"], "3"), (&["1"], "4"), (&["1"], "5")]),
        ignore: &["ppm"],
        ..PLAIN
    },
    Table {
        id: "cwru",
        title: "Bearings under another load",
        folder: "cwru_bearing_fft",
        domains: &[domain("0 hp", "load0hp.parquet"), domain("1 hp", "load1hp.parquet")],
        ..PLAIN
    },
    Table {
        id: "wisdm",
        title: "Activities of other people",
        folder: "wisdm",
        domains: &[domain("users 1-12", "users01_12.parquet"), domain("users 13-24", "users13_24.parquet")],
        ignore: &["user"],
        ..PLAIN
    },
    Table {
        id: "heart",
        title: "Heart disease in four hospitals",
        protocol_words: "Full source, joint z-score, balanced accuracy.",
        folder: "heart_disease",
        domains: &[
            domain("C", "cleveland.parquet"),
            domain("H", "hungarian.parquet"),
            domain("S", "switzerland.parquet"),
            domain("L", "long_beach_va.parquet"),
        ],
        ignore: &["num"],
        metric: "balanced_accuracy",
        ..PLAIN
    },
    Table {
        id: "adult",
        title: "Income above 50,000",
        folder: "adult_income",
        domains: &[domain("native", "us_native.parquet"), domain("foreign", "foreign_born.parquet")],
        pairs: Pairs::Listed(&[(&["native"], "foreign")]),
        ..PLAIN
    },
    Table {
        id: "elec2",
        title: "Electricity prices in time order",
        folder: "elec2",
        domains: &[domain("first", "q1.parquet"), domain("second", "q2.parquet")],
        pairs: Pairs::Listed(&[(&["first"], "second")]),
        ..PLAIN
    },
    Table {
        id: "landmine",
        title: "Landmines in other fields",
        protocol_words: "Fields 1 to 5 pooled as source, each of 16 to 20 as target; joint z-score, ROC AUC.",
        folder: "landmine",
        domains: &[
            domain("1", "field01.parquet"),
            domain("2", "field02.parquet"),
            domain("3", "field03.parquet"),
            domain("4", "field04.parquet"),
            domain("5", "field05.parquet"),
            domain("16", "field16.parquet"),
            domain("17", "field17.parquet"),
            domain("18", "field18.parquet"),
            domain("19", "field19.parquet"),
            domain("20", "field20.parquet"),
        ],
        pairs: Pairs::Listed(&[(FIELDS, "16"), (FIELDS, "17"), (FIELDS, "18"), (FIELDS, "19"), (FIELDS, "20")]),
        metric: "roc_auc",
        ..PLAIN
    },
    Table {
        id: "amazon",
        title: "Amazon reviews, 5000 counts, inductive",
        protocol_words: "2000 labelled source rows, 2000 unlabelled target rows, scored on the target's test rows, \
                         which no fit sees; tf_idf.",
        protocol: Protocol::Inductive,
        folder: "amazon_reviews_counts",
        domains: AMAZON,
        scaling: "tf_idf",
        rows: INDUCTIVE_ROWS,
        ..PLAIN
    },
    Table {
        id: "amazon_transductive",
        title: "Amazon reviews, 5000 counts, transductive",
        protocol_words: "2000 labelled source rows; the target's test rows are adapted to without labels, and scored; \
                         tf_idf.",
        folder: "amazon_reviews_counts",
        domains: AMAZON,
        scaling: "tf_idf",
        rows: TRANSDUCTIVE_ROWS,
        ..PLAIN
    },
];
