# shellcheck shell=bash
# What the launchers share; sourced by them. Exit code 2 is a mistake of the user's: the same command would fail again.
say() { echo "ugatit_jax: $*" >&2; }
die() { say "$*"; exit 2; }

quietly() {  # runs a command without its output; where it fails, $reason is the line that says why
  local code=0
  reason=$("$@" 2>&1 >/dev/null </dev/null) || code=$?
  if ((code)); then reason=$(grep --max-count=1 -E 'ERROR|[Ee]rror' <<<"$reason" || tail -n 1 <<<"$reason"); fi
  return "$code"
}

check_project() {  # gcloud is there and has a project
  command -v gcloud >/dev/null || die 'gcloud is not installed; hint: https://cloud.google.com/sdk/docs/install'
  [[ -n $(gcloud config get project 2>/dev/null) ]] ||
    die 'gcloud has no project; hint: gcloud config set project ID, or CLOUDSDK_CORE_PROJECT=ID in front'
}

check_tpu_type() {  # check_tpu_type ZONE TYPE: the zone has such slices
  local types
  types=$(gcloud compute tpus accelerator-types list --zone="$1" --format='value(type)' --quiet) ||
    die "TPUs of zone $1 cannot be listed; hint: gcloud services enable tpu.googleapis.com, gcloud compute tpus locations list"
  grep --quiet --line-regexp --fixed-strings -e "$2" <<<"$types" ||
    die "zone $1 has no $2, only: ${types//$'\n'/ }; hint: gcloud compute tpus locations list"
}

check_bucket() {  # check_bucket gs://BUCKET/FOLDER WHO: an object can be written there and deleted again
  [[ $1 == gs://?* ]] || die "WORKDIR=$1 is not gs://BUCKET/FOLDER; hint: other workers see no local disk, and it is lost"
  local bucket=${1#gs://}
  bucket=${bucket%%/*}
  quietly write_and_delete "$1/.writable-$HOSTNAME" || die "$2 cannot write $1: $reason;" \
    "hint: gcloud storage buckets create gs://$bucket --location=REGION, or roles/storage.objectUser on it for $2"
}

write_and_delete() { gcloud storage cp "${BASH_SOURCE[0]}" "$1" --quiet && gcloud storage rm "$1" --quiet; }

check_commit() {  # check_commit FOLDER: what is not committed is named, since it does not go along
  git -C "$1" rev-parse --quiet --verify HEAD >/dev/null || die "$1 is no checkout with a commit; hint: git clone"
  if [[ -n $(git -C "$1" status --porcelain) ]]; then say 'uncommitted changes stay here: workers get the last commit'; fi
}
