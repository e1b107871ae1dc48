{{/* Name of everything of this release, at most 52 characters. */}}
{{- define "scoring.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The name, cut where an ending leaves no room: (dict "root" $ "ending" "topics-1" "most" 63). */}}
{{- define "scoring.nameBefore" -}}
{{- $room := sub .most (add1 (len .ending)) | int -}}
{{- printf "%s-%s" (include "scoring.name" .root | trunc $room | trimSuffix "-") .ending -}}
{{- end -}}

{{/* What selects the pods of one workload: (dict "root" $ "component" "serve"). */}}
{{- define "scoring.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of every object. */}}
{{- define "scoring.labels" -}}
{{ include "scoring.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The service's image. */}}
{{- define "scoring.image" -}}
{{- if .Values.image.digest -}}
{{ printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end -}}
{{- end -}}

{{/* Not empty where `helm test` has a pod. */}}
{{- define "scoring.hasTest" -}}
{{- if and .Values.tests.enabled .Values.serve.enabled (or (not .Values.tls.clientCaSecret.name) .Values.tests.clientSecret) -}}
yes
{{- end -}}
{{- end -}}

{{/* Not empty where a job or cron job is installed. */}}
{{- define "scoring.hasJobs" -}}
{{- if or .Values.jobs.topics.enabled .Values.jobs.promotion.version .Values.cron.archive.schedule .Values.cron.audit.schedule .Values.cron.rebuildDrill.schedule -}}
yes
{{- end -}}
{{- end -}}

{{/* Refuses values that the schema cannot judge. */}}
{{- define "scoring.refuse" -}}
{{- if and (not .Values.redis.url) (not .Values.redis.existingSecret.name) -}}
{{- fail "redis: set redis.url, or redis.existingSecret.name for a URL with credentials" -}}
{{- end -}}
{{- if and .Values.redis.cluster .Values.redis.sentinels -}}
{{- fail "redis: a Redis Cluster has no sentinels; set redis.cluster or redis.sentinels" -}}
{{- end -}}
{{- if and .Values.redis.url .Values.redis.existingSecret.name -}}
{{- fail "redis: set redis.url or redis.existingSecret.name, not both" -}}
{{- end -}}
{{- if and .Values.stream.enabled (not .Values.kafka.bootstrap) -}}
{{- fail "kafka.bootstrap: required while stream.enabled is true" -}}
{{- end -}}
{{- if and .Values.tls.clientCaSecret.name (not .Values.tls.existingSecret) -}}
{{- fail "tls.existingSecret: required with tls.clientCaSecret.name" -}}
{{- end -}}
{{- if .Values.jwt.jwksConfigMap.name -}}
{{- if or (not .Values.jwt.issuer) (not .Values.jwt.audience) -}}
{{- fail "jwt.issuer and jwt.audience: required with jwt.jwksConfigMap.name" -}}
{{- end -}}
{{- if not .Values.access.content -}}
{{- fail "access.content: required with jwt.jwksConfigMap.name" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.access.content (not .Values.tls.clientCaSecret.name) (not .Values.jwt.jwksConfigMap.name) -}}
{{- fail "access.content: needs tls.clientCaSecret.name or jwt.jwksConfigMap.name" -}}
{{- end -}}
{{- if .Values.control.enabled -}}
{{- if not .Values.kafka.bootstrap -}}
{{- fail "kafka.bootstrap: required while control.enabled is true: releases go by it" -}}
{{- end -}}
{{- if not .Values.control.database.existingSecret.name -}}
{{- fail "control.database.existingSecret.name: required while control.enabled is true" -}}
{{- end -}}
{{- with .Values.control.identity -}}
{{- if .jwksConfigMap.name -}}
{{- if or (not .issuer) (not .audience) -}}
{{- fail "control.identity: issuer and audience are required with jwksConfigMap.name" -}}
{{- end -}}
{{- else if not .proxies -}}
{{- fail "control.identity: jwksConfigMap.name, or proxies, is required while control.enabled is true" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if .Values.console.enabled -}}
{{- if not .Values.kafka.bootstrap -}}
{{- fail "kafka.bootstrap: required while console.enabled is true: it shows what is decided" -}}
{{- end -}}
{{- if and (not .Values.tls.existingSecret) (not .Values.console.behindTls) -}}
{{- fail "console.behindTls: or tls.existingSecret, is required while console.enabled is true: people's tokens are never sent in the clear" -}}
{{- end -}}
{{- if and (not .Values.control.enabled) (not .Values.console.controlUrl) -}}
{{- fail "console.controlUrl: required while console.enabled is true and control.enabled is not" -}}
{{- end -}}
{{- end -}}
{{- with .Values.stream.autoscaling -}}
{{- if and .enabled (gt (mul .minReplicas ($.Values.stream.workers | default 1)) (int64 .partitions)) -}}
{{- fail "stream.autoscaling.minReplicas: more workers than stream.autoscaling.partitions; the rest would stay idle" -}}
{{- end -}}
{{- if and .enabled (gt (int64 .minReplicas) (int64 .maxReplicas)) -}}
{{- fail "stream.autoscaling.minReplicas: more than maxReplicas" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.metrics.podMonitor.enabled .Values.metrics.serviceMonitor.enabled -}}
{{- fail "metrics: podMonitor or serviceMonitor, not both: every series would be counted twice" -}}
{{- end -}}
{{- if and .Values.jobs.promotion.version (not (has .Values.model.source (list "claim" "url"))) -}}
{{- fail "jobs.promotion.version: needs model.source claim or url; an image is promoted by its name" -}}
{{- end -}}
{{- range $name := list "archive" "audit" "rebuildDrill" -}}
{{- if and (index $.Values.cron $name "schedule") (not $.Values.archive.existingClaim) -}}
{{- fail (printf "archive.existingClaim: required with cron.%s.schedule" $name) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.cron.rebuildDrill.schedule (not .Values.cron.rebuildDrill.redisSecret.name) -}}
{{- fail "cron.rebuildDrill.redisSecret.name: required with its schedule: a store of its own, which the drill clears" -}}
{{- end -}}
{{- end -}}
