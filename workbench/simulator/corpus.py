"""temporary"""
from __future__ import annotations
import random, re
def words_of(text): return [w.lower() for w in re.findall(r"[A-Za-z]{4,}", text)]
def subject_of(text): return " ".join(text.split()[-4:]).strip("?.! ") or "the question"
def decline(q, rng): return f"I can't help with {subject_of(q)}."
def as_object(q, rng): return {"subject": subject_of(q), "answer": "yes", "score": rng.randint(1, 9)}
def think(q, n, rng):
    out=[]
    while len(out) < n: out.append(f"Considering point {rng.randint(1,10**6)} of {subject_of(q)} once more. ")
    return "".join(out)
def write(q, system, style, n, rng):
    out=[f"## About {subject_of(q)}\n\n"]
    while sum(map(len,out)) < n*4: out.append(f"Point {rng.randint(1,10**6)} on {subject_of(q)} — naïve 漢字 matter too 👩‍🔬. ")
    return "".join(out).strip()
