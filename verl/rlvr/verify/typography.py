"""Characters and commands that are one thing written differently: unicode as LaTeX, and LaTeX's synonyms as one of them."""

SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ⁽⁾ⁱˣʸᵏᵐᵃᵇ", "0123456789-+n()ixykmab"))
SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉ₙₖₓₘᵢⱼₐ₊₋", "0123456789nkxmija+-"))
VULGAR = {"½": "12", "⅓": "13", "⅔": "23", "¼": "14", "¾": "34", "⅕": "15", "⅖": "25", "⅗": "35", "⅘": "45", "⅙": "16"}
VULGAR |= {"⅚": "56", "⅛": "18", "⅜": "38", "⅝": "58", "⅞": "78", "⅐": "17", "⅑": "19"}
SYMBOLS = {
    "−": "-", "–": "-", "—": "-", "﹣": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "∗": "*",
    "÷": "/", "∕": "/", "⁄": "/", "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "⩽": r"\le ", "⩾": r"\ge ",
    "≠": r"\ne ", "≈": r"\approx ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "±": r"\pm ", "∓": r"\mp ",
    "°": r"^\circ ", "º": r"^\circ ", "∅": r"\emptyset ", "ø": r"\emptyset ", "ℝ": r"\mathbb{R}", "θ": r"\theta ",
    "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "λ": r"\lambda ", "φ": r"\phi ", "ω": r"\omega ", "μ": r"\mu ",
    "⟨": r"\langle ", "⟩": r"\rangle ", "…": r"\ldots ", "€": r"\euro ", "£": r"\pounds ", "¢": r"\cents ", "′": "'",
    "’": "'", "⊥": r"\perp ", "√": r"\surd ", "∛": r"\sqrt[3]", "∜": r"\sqrt[4]", "∠": r"\angle ", "△": r"\triangle ",
    "‐": "-", "‑": "-", "‒": "-", "―": "-", "、": ",", "，": ",", "；": ";", "∶": ":", "。": ".", "∣": "|", "❘": "|",
    "∖": r"\setminus ", "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ", "→": r"\to ",
    "⇒": r"\Rightarrow ", "∑": r"\sum ", "∏": r"\prod ", "∫": r"\int ", "≡": r"\equiv ", "∼": r"\sim ",
    "∧": r"\text{and}", "∨": r"\text{or}", "∉": r"\notin ", "⊂": r"\subset ", "⊆": r"\subseteq ", "ℕ": r"\mathbb{N}",
    "ℤ": r"\mathbb{Z}", "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}", "𝜋": r"\pi ", "ℯ": "e", "ⅈ": "i", "ⅇ": "e",
    "ε": r"\epsilon ", "ϵ": r"\epsilon ", "δ": r"\delta ", "ζ": r"\zeta ", "η": r"\eta ", "κ": r"\kappa ", "ν": r"\nu ",
    "ξ": r"\xi ", "ρ": r"\rho ", "σ": r"\sigma ", "τ": r"\tau ", "ϕ": r"\phi ", "χ": r"\chi ", "ψ": r"\psi ",
    "Δ": r"\Delta ", "∆": r"\Delta ", "Γ": r"\Gamma ", "Λ": r"\Lambda ", "Σ": r"\Sigma ", "Φ": r"\Phi ", "Ψ": r"\Psi ",
    "Θ": r"\Theta ", "Ω": r"\Omega ", "µ": r"\mu ", "℃": r"^\circ C", "℉": r"^\circ F", "₹": r"\rupee ", "¥": r"\yen ",
    "￥": r"\yen ", "₩": r"\won ", "″": "''", "“": '"', "”": '"', "∝": r"\propto ", "≅": r"\cong ", "≃": r"\approx ",
    "⊕": r"\oplus ", "∘": r"\circ ", "↔": r"\Leftrightarrow ", "⋯": r"\cdots ",
}  # fmt: skip
NAMED = {
    r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\cfrac": r"\frac", r"\sfrac": r"\frac", r"\nicefrac": r"\frac",
    r"\flatfrac": r"\frac", r"\leq": r"\le", r"\geq": r"\ge", r"\leqslant": r"\le", r"\geqslant": r"\ge", r"\lt": "<",
    r"\gt": ">", r"\neq": r"\ne", r"\degree": r"^\circ", r"\degrees": r"^\circ", r"\lbrace": r"\{", r"\rbrace": r"\}",
    r"\lbrack": "[", r"\rbrack": "]", r"\lparen": "(", r"\rparen": ")", r"\ast": "*", r"\div": "/",
    r"\varnothing": r"\emptyset", r"\dbinom": r"\binom", r"\tbinom": r"\binom", r"\vert": "|", r"\lvert": "|",
    r"\rvert": "|", r"\mid": "|", r"\land": r"\text{and}", r"\lor": r"\text{or}", r"\imath": "i", r"\bigcup": r"\cup",
    r"\bigcap": r"\cap", r"\backslash": r"\setminus", r"\smallsetminus": r"\setminus", r"\dotsc": r"\dots",
    r"\dotsb": r"\dots", r"\hdots": r"\dots", r"\N": r"\mathbb{N}", r"\Z": r"\mathbb{Z}", r"\Q": r"\mathbb{Q}",
    r"\C": r"\mathbb{C}", r"\ohm": r"\Omega", r"\texteuro": r"\euro", r"\textsterling": r"\pounds", r"\cent": r"\cents",
    r"\rupees": r"\rupee", r"\centerdot": r"\cdot", r"\bullet": r"\cdot", r"\rm": "", r"\textyen": r"\yen",
    r"\textperthousand": r"\permil", r"\thickapprox": r"\approx", r"\simeq": r"\approx", r"\doteq": r"\approx",
    r"\implies": r"\Rightarrow", r"\leqq": r"\le", r"\geqq": r"\ge", r"\rightarrow": r"\to",
    r"\epsilon": r"\varepsilon", r"\varphi": r"\phi", r"\prime": "'", r"\lcm": r"\text{lcm}", r"\Reals": r"\mathbb{R}",
    r"\R": r"\mathbb{R}", r"\textdollar": r"\$", r"\colon": ":", r"\ldots": r"\dots", r"\cdots": r"\dots",
    r"\bmod": r"\mod", r"\iff": r"\Leftrightarrow", r"\percent": r"\%",
}  # fmt: skip
