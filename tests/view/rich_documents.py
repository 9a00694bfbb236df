"""Documents that show everything the view can draw, for snapshots."""

from __future__ import annotations

REASONING = "The subquery is *not* correlated, so it runs **once per row**.\n\n- try a CTE\n- compare the plans\n"

ANSWER = """\
# Query rewrite

The query reads `orders_2025` twice because the **subquery is not correlated**. One pass is *enough*: see
[the manual](https://www.postgresql.org/docs/current/queries-with.html) or https://example.com/x?y=1.

```sql
with agg as (select id, sum(x) as total from orders_2025 group by id)
select * from agg where total > 10 -- a long comment that has to wrap somewhere in a narrow pane
```

## Why it helps

- one sequential scan instead of two
- hash aggregate replaces the semi-join:
  1. build the hash
  2. probe it once, with a line that is long enough to wrap in a narrow pane
     - nested deeper
- [x] measured
- [ ] reviewed

> A quote that says something wise and is long enough to wrap at sixty columns for sure.
>
> - with a list
> > and a nested quote

| Plan | Cost | Rows |
|:-----|-----:|:----:|
| Seq Scan | 12.5 | 1,000 |
| Hash Aggregate over the **whole** table | 99,120.75 | 5 |
| 漢字の表 | 0.1 | 👩\u200d🔬 |

### Formulas

Euler: $e^{i\\pi} + 1 = 0$, and

$$
\\sum_{i=1}^{n} i = \\frac{n(n+1)}{2}
$$

---

1. First
2. Second

   ```python
   def area(radius: float) -> float:
       return 3.14159 * radius**2  # no units
   ```
3. Third, ~~gone~~ <kbd>esc</kbd>

#### Fourth level

日本語の長い文章はどこでも折り返すことができますが、句読点は行頭に来ません。

[1]: https://example.com/one "One"
"""
