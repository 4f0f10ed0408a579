"""Writes text_metrics.json: sentences in German, English and Chinese, corrupted hypotheses, and what
sacreBLEU says of them: BLEU, chrF, chrF++ and TER of every group, alone and with two references.

    pip install sacrebleu==2.6.0
    python make_text_metrics.py

The sentences are put together at random from the pieces below, which hold what tokenisers stumble
over: numbers, quotes, entities, dashes, marks of several scripts, no-break spaces, empty lines.
"""

import json
import pathlib
import random

from sacrebleu import __version__
from sacrebleu.metrics import BLEU, CHRF, TER

random.seed(41)

PIECES = {
    "de": (
        "Der Befehl|Die Schaltfläche|Jede Zelle|Ein Wort wie „Übung“|Das Menü (Ansicht)|Größe und Form|"
        "Wer's mag|Dr. Weiß|Version 7.4.2|Eine E-Mail",
        "öffnet|löscht nicht|schließt, falls nötig,|zeigt in 3,5 s|verschiebt um 10-20 %|enthält|"
        "kostet 1.299,00 EUR für|fragt: warum|ändert am 24.12.|ersetzt \"alles\" durch",
        "das Dokument.|den nächsten Absatz!|die Tabelle A1:B20.|nichts...|eine Datei (*.odt).|"
        "die Straße – und mehr.|a < b &amp; c.|z.B. den Rest;|den Wert 0,5|das Fenster?",
    ),
    "en": (
        "The command|Every cell|A so-called \"style\"|Mr. O'Neil|Version 10.2|The menu (View)|It|"
        "An e-mail|Nobody|The U.S. keyboard",
        "opens|doesn't delete|moves by 5,000.25|closes, if needed,|shows in 3.5 s|contains|prints|"
        "costs $1,299.00 for|asks - why|replaces 'all' with",
        "the document.|the next paragraph!|cells A1:B20.|nothing...|a file (*.odt).|a&lt;b.|"
        "the rest; see below|50% of it,|what\u00a0ever it is.|the window?",
    ),
    "zh": (
        "打开|单击“确定”按钮，|选择“工具 - 选项”|每个单元格|输入数值 3.5，|在 Writer 中，|这个命令|如果需要，|2019年|《手册》",
        "可以删除|不会移动|显示了|包含|替换为|关闭|请按 Ctrl+Shift 来选择|复制|共有1,000个|改变",
        "文档。|下一个段落！|表格(A1:B20)。|所有文件……|该值；|新的窗口？|“样式”列表。|图片和文字、公式。|％50 的内容|结果",
    ),
}
PER_LANGUAGE = 168
GROUP = 42


def sentence(pieces):
    parts = [random.choice(part.split("|")) for part in pieces]
    if random.random() < 0.3:
        parts += [random.choice(part.split("|")) for part in pieces[1:]]
    return parts


def corrupt(words, rate):
    words = list(words)
    if random.random() < rate and len(words) > 3:
        length = random.randint(1, min(4, len(words) - 1))
        start = random.randint(0, len(words) - length)
        run, rest = words[start : start + length], words[:start] + words[start + length :]
        target = random.randint(0, len(rest))
        words = rest[:target] + run + rest[target:]
    out = []
    for word in words:
        draw = random.random()
        if draw < rate / 4:
            continue
        if draw < rate / 2:
            word = word.swapcase() if random.random() < 0.5 else word[::-1]
        out.append(word)
        if random.random() < rate / 6:
            out.append(random.choice(words))
    return out


def line(language):
    glue = "" if language == "zh" else " "
    parts = sentence(PIECES[language])
    reference = glue.join(parts)
    if random.random() < 0.03:
        return random.choice(["", reference]), random.choice(["", reference]), ""
    # Chinese is corrupted by characters, so that its words need not be known.
    cut = list(reference) if language == "zh" else reference.split(" ")
    rate = random.choice([0.0, 0.1, 0.2, 0.4, 0.8])
    second = glue.join(corrupt(cut, 0.3))
    return glue.join(corrupt(cut, rate)), reference, second


def printed(score, metric):
    signature = str(metric.get_signature())
    return [score.score, score.format(signature=signature), signature]


def scores(language, hypotheses, streams):
    tokenisers = ["13a", "none", "char"] + (["zh"] if language == "zh" else [])
    found = {}
    for name in tokenisers:
        for lowercase in [False, True]:
            metric = BLEU(tokenize=name, lowercase=lowercase)
            score = metric.corpus_score(hypotheses, streams)
            found[f"bleu {name}{' lc' if lowercase else ''}"] = printed(score, metric)
    for name, metric in {
        "chrf": CHRF(),
        "chrf lc": CHRF(lowercase=True),
        "chrf++": CHRF(word_order=2),
        "chrf space": CHRF(whitespace=True, beta=3),
        "ter": TER(),
        "ter case": TER(case_sensitive=True),
    }.items():
        score = metric.corpus_score(hypotheses, streams)
        found[name] = printed(score, metric)
    return found


lines, groups = {}, []
for language in PIECES:
    told = [line(language) for _ in range(PER_LANGUAGE)]
    lines[language] = told
    bounds = [(i, i + GROUP) for i in range(0, PER_LANGUAGE, GROUP)] + [(0, PER_LANGUAGE)]
    for begin, end in bounds:
        hypotheses, first, second = (list(part) for part in zip(*told[begin:end]))
        single = scores(language, hypotheses, [first])
        both = scores(language, hypotheses, [first, second])
        # Every second sentence alone has a second reference.
        some = [text if i % 2 else None for i, text in enumerate(second)]
        some = scores(language, hypotheses, [first, some])
        kinds = {"one": single, "two": both, "some": some}
        if end - begin == GROUP:  # what sacreBLEU prints is kept for the whole alone
            kinds = {k: {n: round(v[0], 10) for n, v in found.items()} for k, found in kinds.items()}
        groups.append({"language": language, "begin": begin, "end": end, **kinds})

golden = {"sacrebleu": __version__, "lines": lines, "groups": groups}
golden["sentences"] = {
    language: [
        round(BLEU(effective_order=True).sentence_score(hypothesis, [first]).score, 9)
        for hypothesis, first, _ in told[:60]
    ]
    for language, told in lines.items()
}
path = pathlib.Path(__file__).with_name("text_metrics.json")
text = json.dumps(golden, separators=(",", ":"), ensure_ascii=False)
path.write_text(text + "\n", encoding="utf-8")
