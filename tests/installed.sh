# The smallest question to many commands of an installed shallows; run by `make dist-check`.
shallows --version
shallows census -k 4 --starts 8 --out census-k4 --json > census.json
test -s census-k4/report.html
shallows store check --store census-k4
shallows store query "SELECT outcome, count(*) FROM census_rows GROUP BY outcome" --store census-k4
shallows family II -k 1000000000 --json > family.json
shallows series II --terms 2 --json > series.json
shallows certify II -k 10 --out II-10.json --json > certify.json
shallows verify II-10.json
printf 'x,y\n-1,1\n-0.5,0.2\n0,0\n0.4,0.3\n1,1\n' > data.csv
shallows convex data.csv --target y --beta 0.01 --out convex --json > convex.json
shallows spline data.csv --init-scale 0.7 --width 50 --out spline --json > spline.json
# The numbers themselves, by what is known of them.
python - <<'END'
import json
from pathlib import Path


def read(name):
    return json.loads(Path(f"{name}.json").read_text("utf-8"))


assert read("census")["settled"] == 8
assert 2.97354168e-10 < read("family")["loss"] < 2.97354169e-10
assert read("series")["loss"][0]["closed_form"] == "1/2 - 2/pi^2"
assert read("certify")["verdict"] == "PROVED"
print("All of it answered.")
END
