{{/* What both workloads share, around their own container settings. */}}

{{/* A hash of all configuration: a change of any of it rolls the pods. */}}
{{- define "scoring.checksum" -}}
{{- include (print .Template.BasePath "/config.yaml") . | sha256sum -}}
{{- end -}}

{{/* A hash of the secrets that a pod reads only as it starts; of what the cluster has. */}}
{{- define "scoring.secrets" -}}
{{- $found := list -}}
{{- range $name := list .Values.redis.existingSecret.name .Values.redis.sentinelSecret.name .Values.redis.tls.caSecret.name .Values.redis.tls.clientSecret .Values.kafka.existingSecret.name .Values.kafka.tls.caSecret.name .Values.kafka.tls.clientSecret .Values.control.database.existingSecret.name -}}
{{- if $name -}}
{{- with lookup "v1" "Secret" $.Release.Namespace $name -}}
{{- $found = append $found .data -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $found -}}
{{ toJson . | sha256sum }}
{{- end -}}
{{- end -}}

{{/* (dict "root" $ "component" "serve" "workload" .Values.serve) */}}
{{- define "scoring.accountName" -}}
{{- .workload.serviceAccount.name | default (printf "%s-%s" (include "scoring.name" .root) .component) -}}
{{- end -}}

{{- define "scoring.account" -}}
{{- if not .workload.serviceAccount.name -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "scoring.accountName" . }}
  labels:
    {{- include "scoring.labels" . | nindent 4 }}
  {{- with .workload.serviceAccount.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
---
{{ end -}}
{{- end -}}

{{/* How pods are replaced; Kubernetes refuses a pace of what is not rolled. */}}
{{- define "scoring.strategy" -}}
{{- if eq (toString .type) "Recreate" }}type: Recreate{{ else }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* How every pod of ours runs. */}}
{{- define "scoring.pod" -}}
serviceAccountName: {{ include "scoring.accountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .workload.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
securityContext:
  {{- include "scoring.podSecurity" .root | nindent 2 }}
{{- end -}}

{{- define "scoring.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "scoring.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "scoring.env" -}}
{{- with .Values.redis.existingSecret.name }}
{{ include "scoring.redisEnv" $.Values.redis.existingSecret }}
{{- end }}
{{ include "scoring.otherEnv" . }}
{{- end -}}

{{/* The store's URL: (dict "name" … "key" …). */}}
{{- define "scoring.redisEnv" -}}
- name: SCORING_REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ .name }}
      key: {{ .key }}
{{- end -}}

{{/* All but the store's URL. */}}
{{- define "scoring.otherEnv" -}}
{{- with .Values.redis.sentinelSecret }}
{{- if .name }}
- name: SCORING_REDIS_SENTINEL_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ .name }}
      key: {{ .passwordKey }}
{{- if .usernameKey }}
- name: SCORING_REDIS_SENTINEL_USERNAME
  valueFrom:
    secretKeyRef:
      name: {{ .name }}
      key: {{ .usernameKey }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.kafka.existingSecret.name }}
- name: SCORING_KAFKA_OPTIONS
  valueFrom:
    secretKeyRef:
      name: {{ .Values.kafka.existingSecret.name }}
      key: {{ .Values.kafka.existingSecret.key }}
{{- end }}
{{- if and (or .Values.kafka.tls.caSecret.name .Values.kafka.tls.clientSecret) (not .Values.kafka.existingSecret.name) }}
{{- $options := dict "security_protocol" "SSL" }}
{{- if .Values.kafka.tls.caSecret.name }}
{{- $_ := set $options "ssl_cafile" "/etc/scoring-kafka/ca.crt" }}
{{- end }}
{{- if .Values.kafka.tls.clientSecret }}
{{- $_ := set $options "ssl_certfile" "/etc/scoring-kafka/tls.crt" }}
{{- $_ := set $options "ssl_keyfile" "/etc/scoring-kafka/tls.key" }}
{{- end }}
- {name: SCORING_KAFKA_OPTIONS, value: {{ toJson $options | quote }}}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The store's URL, with the files of its certificates where they are mounted. */}}
{{- define "scoring.redisUrl" -}}
{{- $files := list -}}
{{- if .Values.redis.tls.caSecret.name -}}
{{- $files = append $files "ssl_ca_certs=/etc/scoring-redis/ca.crt" -}}
{{- end -}}
{{- if .Values.redis.tls.clientSecret -}}
{{- $files = append $files "ssl_certfile=/etc/scoring-redis/tls.crt&ssl_keyfile=/etc/scoring-redis/tls.key" -}}
{{- end -}}
{{- .Values.redis.url -}}
{{- with $files }}{{ ternary "&" "?" (contains "?" $.Values.redis.url) }}{{ join "&" . }}{{ end -}}
{{- end -}}

{{/* What every workload reads beside its own files. */}}
{{- define "scoring.sharedMounts" -}}
{{- range $system := list "redis" "kafka" }}
{{- $tls := (index $.Values $system).tls }}
{{- if or $tls.caSecret.name $tls.clientSecret }}
- {name: {{ $system }}-tls, mountPath: /etc/scoring-{{ $system }}, readOnly: true}
{{- end }}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "scoring.sharedVolumes" -}}
{{- range $system := list "redis" "kafka" }}
{{- $tls := (index $.Values $system).tls }}
{{- if or $tls.caSecret.name $tls.clientSecret }}
- name: {{ $system }}-tls
  projected:
    sources:
      {{- with $tls.caSecret.name }}
      - secret:
          name: {{ . }}
          items: [{key: {{ $tls.caSecret.key }}, path: ca.crt}]
      {{- end }}
      {{- with $tls.clientSecret }}
      - secret:
          name: {{ . }}
          items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]
      {{- end }}
{{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The names of a workload's ports of metrics: each of its processes has its own. */}}
{{- define "scoring.metricsPorts" -}}
{{- range $number := until (int (.workers | default 1)) -}}
{{ if $number }} {{ end }}metrics{{ if $number }}-{{ $number }}{{ end }}
{{- end -}}
{{- end -}}

{{- define "scoring.envFrom" -}}
- configMapRef: {name: {{ include "scoring.name" . }}-settings}
{{- with .Values.extraEnvFrom }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "scoring.modelDir" -}}
{{- if eq .Values.model.source "baked" }}{{ .Values.model.path }}{{ else }}/model{{ end -}}
{{- end -}}

{{/* (dict "root" $ "workload" .Values.serve) */}}
{{- define "scoring.initContainers" -}}
{{- $copies := eq .root.Values.model.source "image" -}}
{{- if or $copies .workload.initContainers }}
initContainers:
  {{- if $copies }}
  - name: model
    image: {{ required "model.image: required with model.source=image" .root.Values.model.image }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    command: [cp, -R, {{ printf "%s/." .root.Values.model.path | quote }}, /target]
    securityContext:
      {{- include "scoring.containerSecurity" .root | nindent 6 }}
    resources:
      requests: {cpu: 50m, memory: 64Mi}
      limits: {memory: 256Mi}
    volumeMounts:
      - {name: model, mountPath: /target}
  {{- end }}
  {{- with .workload.initContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "scoring.volumeMounts" -}}
- {name: state, mountPath: /var/lib/scoring}
- {name: tmp, mountPath: /tmp}
- {name: files, mountPath: /etc/scoring, readOnly: true}
{{- if .Values.rates.configMap.name }}
- {name: rates, mountPath: /etc/scoring-rates, readOnly: true}
{{- end }}
{{- if ne .Values.model.source "baked" }}
- name: model
  mountPath: /model
  readOnly: {{ ne .Values.model.source "url" }}
  {{- if and (eq .Values.model.source "claim") .Values.model.subPath }}
  subPath: {{ .Values.model.subPath }}
  {{- end }}
{{- end }}
{{- include "scoring.sharedMounts" . }}
{{- end -}}

{{/* (dict "root" $ "workload" .Values.serve) */}}
{{- define "scoring.volumes" -}}
- name: state
  emptyDir: {sizeLimit: {{ .workload.spoolSize }}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
- name: files
  configMap:
    name: {{ include "scoring.name" .root }}-files
{{- with .root.Values.rates.configMap.name }}
- name: rates
  configMap: {name: {{ . }}}
{{- end }}
{{- if eq .root.Values.model.source "claim" }}
- name: model
  persistentVolumeClaim:
    claimName: {{ required "model.existingClaim: required with model.source=claim" .root.Values.model.existingClaim }}
    readOnly: true
{{- else if has .root.Values.model.source (list "image" "url") }}
- name: model
  emptyDir: {sizeLimit: 1Gi}
{{- end }}
{{- include "scoring.sharedVolumes" .root }}
{{- end -}}

{{/* (dict "root" $ "component" "serve" "workload" .Values.serve) */}}
{{- define "scoring.scheduling" -}}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .workload.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .workload.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .workload.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .workload.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
topologySpreadConstraints:
  {{- if .workload.topologySpread }}
  {{- toYaml .workload.topologySpread | nindent 2 }}
  {{- else }}
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "scoring.selector" $ | nindent 8 }}
  {{- end }}
  {{- end }}
{{- end -}}

{{- define "scoring.podMetadata" -}}
labels:
  {{- include "scoring.labels" . | nindent 2 }}
  {{- with .workload.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  checksum/config: {{ include "scoring.checksum" .root }}
  {{- with include "scoring.secrets" .root }}
  checksum/secrets: {{ . }}
  {{- end }}
  {{- with .workload.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
