"""Reference numbers for tests/it/text_reference.rs, from scikit-learn: texts by TfidfVectorizer, and by HashingVectorizer
with TfidfTransformer. Fitted on the texts of source and target together, as the library does.

    pip install scikit-learn && python text.py > text.json
"""
import json

import numpy as np
import scipy
import sklearn
from scipy.sparse import hstack
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.preprocessing import normalize

source = [
    "Free shipping! FREE gift, and a free trial...",
    "The plot was thin; the plot was dull. Don't watch it, don't buy it.",
    "",
    "Great gift 🎁 great price, 5 stars 🎉🎉",
    "Été à la plage: l'été dernier, un grand été.",
    "ΟΔΟΣ οδος Москва москва 日本語 שלום עולם under_score x2 42",
    "free shipping and a great price",
    "the the the the the the",
]
target = [
    "shipping was slow and the price was great",
    "un été à Москва, 日本語 and שלום",
    "a b c 🎉",
    "Don't buy the thin plot",
    "\tgift\n\n gift   gift \u00a0 free_trial http://example.org/a?b=c",
]
texts = source + target


def sparse(x):
    x = x.tocsr()
    x.sort_indices()
    rows = np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))
    return {"shape": x.shape, "entries": [[int(i), int(j), float(v)] for i, j, v in zip(rows, x.indices, x.data)]}


def commonest(vectorizer, k):
    counts = vectorizer.fit_transform(texts)
    rows = np.bincount(counts.indices, minlength=counts.shape[1])
    terms = vectorizer.get_feature_names_out()
    return sorted(sorted(terms, key=lambda t: (-rows[vectorizer.vocabulary_[t]], t))[:k])


runs = []


def run(params, x):
    runs.append({"params": {"max_features": 100_000, "min_document_frequency": 1, **params}, "x": sparse(x)})


def tf_idf(**settings):
    return TfidfVectorizer(sublinear_tf=True, **settings).fit_transform(texts)


run({}, tf_idf(ngram_range=(1, 2)))
run({"word_ngrams": [1, 1], "term_frequency": "count", "min_document_frequency": 2},
    TfidfVectorizer(min_df=2).fit_transform(texts))
run({"word_ngrams": [2, 3], "case": "keep", "term_frequency": "presence"},
    TfidfVectorizer(ngram_range=(2, 3), lowercase=False, binary=True).fit_transform(texts))
run({"analyzer": "char", "min_document_frequency": 2}, tf_idf(analyzer="char_wb", ngram_range=(3, 5), min_df=2))
run({"analyzer": "char", "char_ngrams": [1, 2]}, tf_idf(analyzer="char_wb", ngram_range=(1, 2)))
run({"max_features": 12}, tf_idf(ngram_range=(1, 2), vocabulary=commonest(CountVectorizer(ngram_range=(1, 2)), 12)))
both = [TfidfVectorizer(sublinear_tf=True, analyzer=a, ngram_range=n, norm=None).fit_transform(texts)
        for a, n in [("char_wb", (2, 3)), ("word", (1, 2))]]
run({"analyzer": "word_char", "char_ngrams": [2, 3]}, normalize(hstack(both).tocsr()))
for buckets in [16, 100]:
    counts = HashingVectorizer(n_features=buckets, norm=None, ngram_range=(1, 2)).transform(texts)
    run({"hashed": buckets, "term_frequency": "count"}, TfidfTransformer().fit_transform(counts))

versions = {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__}
print(json.dumps({"versions": versions, "source": source, "target": target, "runs": runs}, ensure_ascii=False))
