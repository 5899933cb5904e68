"""Models of a made-up operator that differ in all there is to choose, in tests of choosing."""

from bot.catalogue_tables import load_catalogue

RETIRED = "\n".join(
    f'[models."{name}"]\nstatus = "retired"' for name in load_catalogue().models if name.startswith("apixo/")
)

CHEAP, RICH, DOUBTFUL = "apixo/cheap", "apixo/rich", "apixo/doubtful"

# The cheapest has nothing to choose, the next has everything, and the dearest is the fastest but doubtful.
THREE = (
    RETIRED
    + f"""
[models."{CHEAP}"]
like = "apixo/sora-2"
title = "Cheap"
status = "available"
[models."{CHEAP}".price]
unit = "video"
rows = [ {{ usd = "0.10" }} ]
[models."{CHEAP}".timing]
first_look_seconds = 100
typical_seconds = 600

[models."{RICH}"]
like = "apixo/sora-2-pro"
title = "Rich"
status = "available"
seconds = [5, 10]
[models."{RICH}".options]
sound = {{ field = "generate_audio" }}
negative_prompt = {{ field = "negative_prompt", most = 500 }}
seed = {{ field = "seed", most = 1000 }}
style = {{ field = "style", words = ["anime", "noir"] }}
end_frame = {{}}
[models."{RICH}".price]
unit = "second"
rows = [ {{ sound = false, usd = "0.05" }}, {{ sound = true, usd = "0.07" }} ]
[models."{RICH}".timing]
first_look_seconds = 40
typical_seconds = 120

[models."{DOUBTFUL}"]
like = "apixo/sora-2"
title = "Doubtful"
status = "doubtful"
[models."{DOUBTFUL}".price]
unit = "video"
rows = [ {{ usd = "0.90" }} ]
[models."{DOUBTFUL}".timing]
first_look_seconds = 10
typical_seconds = 30
"""
)
