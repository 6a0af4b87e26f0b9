//! Metrics of predicted classes, from the confusion matrix alone.

/// Counts of rows by true class (row) and predicted class (column).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    pub counts: Vec<Vec<u64>>,
}

/// Averages over classes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Averages {
    pub accuracy: f64,
    /// The mean recall of the classes in the truth.
    pub balanced_accuracy: f64,
    /// Means over the classes in the truth or among the predictions; what is undefined counts as zero.
    pub macro_precision: f64,
    pub macro_recall: f64,
    pub macro_f1: f64,
    /// From counts summed over classes; equal to accuracy where every row has one class.
    pub micro_f1: f64,
    /// The mean of F1 by the number of true rows.
    pub weighted_f1: f64,
}

impl Confusion {
    /// Counts where row i counts `counts[i]` times.
    pub fn of(truth: &[usize], predicted: &[usize], n_classes: usize, counts: &[u32]) -> Self {
        let mut flat = vec![0_u64; n_classes * n_classes];
        for ((&t, &p), &c) in truth.iter().zip(predicted).zip(counts) {
            flat[t * n_classes + p] += u64::from(c);
        }
        Self { counts: flat.chunks(n_classes.max(1)).map(<[u64]>::to_vec).collect() }
    }

    /// Rows whose class is `class`.
    pub fn support(&self, class: usize) -> u64 {
        self.counts[class].iter().sum()
    }

    /// Rows predicted to be of `class`.
    fn predicted(&self, class: usize) -> u64 {
        self.counts.iter().map(|row| row[class]).sum()
    }

    /// `None` where the class is never predicted.
    pub fn precision(&self, class: usize) -> Option<f64> {
        ratio(self.counts[class][class], self.predicted(class))
    }

    /// `None` where no row is of the class.
    pub fn recall(&self, class: usize) -> Option<f64> {
        ratio(self.counts[class][class], self.support(class))
    }

    /// `None` where the class is neither true nor predicted anywhere.
    pub fn f1(&self, class: usize) -> Option<f64> {
        ratio(2 * self.counts[class][class], self.support(class) + self.predicted(class))
    }

    /// `None` where there are no rows.
    pub fn averages(&self) -> Option<Averages> {
        let n_classes = self.counts.len();
        let total: u64 = (0..n_classes).map(|c| self.support(c)).sum();
        let hits: u64 = (0..n_classes).map(|c| self.counts[c][c]).sum();
        let accuracy = ratio(hits, total)?;
        let (mut true_classes, mut classes) = (0.0, 0.0);
        let (mut precision, mut recall, mut f1, mut weighted) = (0.0, 0.0, 0.0, 0.0);
        // F1 is undefined just where the class is in neither.
        for (class, own_f1) in (0..n_classes).filter_map(|c| Some((c, self.f1(c)?))) {
            classes += 1.0;
            true_classes += f64::from(u8::from(self.support(class) > 0));
            precision += self.precision(class).unwrap_or(0.0);
            recall += self.recall(class).unwrap_or(0.0);
            f1 += own_f1;
            weighted += own_f1 * self.support(class) as f64;
        }
        Some(Averages {
            accuracy,
            balanced_accuracy: recall / true_classes,
            macro_precision: precision / classes,
            macro_recall: recall / classes,
            macro_f1: f1 / classes,
            micro_f1: accuracy,
            weighted_f1: weighted / total as f64,
        })
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
