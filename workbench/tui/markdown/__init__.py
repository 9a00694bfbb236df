"""Streaming Markdown for a terminal, from source text to strips, without a widget per block.

    answer          one answer: reasoning, text, tool calls; what is copied, searched, selected
    sheet           documents one below the other, as one run of rows
    document        a growing text: which row is where, what is laid out, what changed
    splitter        text to leaf blocks, incrementally       (open_end, leaf, cursor, starts, tables, source)
    layout          a block to rows of pieces                (inline, guess, maths, table_layout, flow, notes)
    code_book       colours of finished code, in slices      (code_colours)
    painter         rows to strips: the only place where roles become colours

Everything above `painter` is free of Textual and of colours, and every piece of text knows the source it stands for.
"""
