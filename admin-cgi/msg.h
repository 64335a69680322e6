/* SPDX-License-Identifier: MIT
 *
 * What the management API says to people when something went well, and the names
 * of settings. One row per message; a language is one more column, here and in
 * msg.c. A "{}" is replaced by what the message is about.
 */
#ifndef ADMIN_MSG_H
#define ADMIN_MSG_H

#include "lib/str.h"

/* clang-format off */
/*	id, English, Chinese, Japanese */
#define MSG_TABLE(X) \
	X(OK, \
	  "Success", \
	  "成功", \
	  "成功") \
	X(LOGIN_OK, \
	  "Logged in", \
	  "登录成功", \
	  "ログインしました") \
	X(LOGIN_REFUSED, \
	  "The key is not accepted", \
	  "密钥不被接受", \
	  "キーが受け付けられませんでした") \
	X(GROUP_CREATED, \
	  "The group was created", \
	  "分组已创建", \
	  "グループを作成しました") \
	X(GROUP_UPDATED, \
	  "The group was updated", \
	  "分组已更新", \
	  "グループを更新しました") \
	X(GROUP_DELETED, \
	  "The group and its keys were deleted", \
	  "分组及其密钥已删除", \
	  "グループとそのキーを削除しました") \
	X(GROUP_COPIED, \
	  "The group was copied", \
	  "分组已复制", \
	  "グループをコピーしました") \
	X(GROUPS_REORDERED, \
	  "The order was saved", \
	  "排序已保存", \
	  "並び順を保存しました") \
	X(MEMBERS_ADDED, \
	  "The members were added", \
	  "子分组已添加", \
	  "サブグループを追加しました") \
	X(MEMBER_WEIGHED, \
	  "The weight was changed", \
	  "权重已更改", \
	  "重みを変更しました") \
	X(MEMBER_REMOVED, \
	  "The member was removed", \
	  "子分组已移除", \
	  "サブグループを外しました") \
	X(KEYS_ADDED, \
	  "The keys were added", \
	  "密钥已添加", \
	  "キーを追加しました") \
	X(KEYS_DELETED, \
	  "The keys were deleted", \
	  "密钥已删除", \
	  "キーを削除しました") \
	X(KEYS_RESTORED, \
	  "The keys are active again", \
	  "密钥已恢复为有效", \
	  "キーを有効に戻しました") \
	X(KEYS_CLEARED, \
	  "The keys were removed from the group", \
	  "密钥已从分组中清除", \
	  "キーをグループから削除しました") \
	X(NOTES_SAVED, \
	  "The notes were saved", \
	  "备注已保存", \
	  "メモを保存しました") \
	X(KEY_ELSEWHERE, \
	  "the key is not in this group", \
	  "该密钥不在此分组中", \
	  "キーはこのグループにありません") \
	X(NOT_TESTED, \
	  "not tested: there was no time left; use validate-group", \
	  "未测试：时间已用完；请使用 validate-group", \
	  "未テスト：時間切れです。validate-group を使ってください") \
	X(KEY_UNREADABLE, \
	  "the key cannot be decrypted", \
	  "密钥无法解密", \
	  "キーを復号できません") \
	X(KEYS_CHANGED, \
	  "The keys were changed", \
	  "密钥已更改", \
	  "キーを変更しました") \
	X(FAULT_TOO_LONG, \
	  "longer than {} bytes", \
	  "超过 {} 字节", \
	  "{} バイトを超えています") \
	X(FAULT_CHARACTER, \
	  "holds a space or a control character", \
	  "含有空格或控制字符", \
	  "空白または制御文字を含んでいます") \
	X(FAULT_NO_TEXT, \
	  "is not a string", \
	  "不是字符串", \
	  "文字列ではありません") \
	X(KEY_DISABLED, \
	  "The key was disabled", \
	  "密钥已停用", \
	  "キーを無効にしました") \
	X(KEY_ENABLED, \
	  "The key is active", \
	  "密钥已启用", \
	  "キーを有効にしました") \
	X(SETTINGS_UPDATED, \
	  "The settings were saved", \
	  "设置已保存", \
	  "設定を保存しました") \
	X(TASK_STARTED, \
	  "The task was started", \
	  "任务已开始", \
	  "タスクを開始しました") \
	X(TASK_CANCELLED, \
	  "The task will end", \
	  "任务即将结束", \
	  "タスクを終了します") \
	X(INVALID_KEYS, \
	  "Invalid keys", \
	  "无效密钥", \
	  "無効なキー") \
	X(SERIES_SUCCESS, \
	  "Succeeded", \
	  "成功请求", \
	  "成功したリクエスト") \
	X(SERIES_FAILURE, \
	  "Failed", \
	  "失败请求", \
	  "失敗したリクエスト") \
	X(WARN_MISSING, \
	  "{} is not set", \
	  "未设置 {}", \
	  "{} が設定されていません") \
	X(WARN_SHORT, \
	  "{} is shorter than 16 characters", \
	  "{} 少于 16 个字符", \
	  "{} が 16 文字未満です") \
	X(WARN_MEDIUM, \
	  "{} is shorter than 32 characters", \
	  "{} 少于 32 个字符", \
	  "{} が 32 文字未満です") \
	X(WARN_WORD, \
	  "{} contains a word that is easily guessed", \
	  "{} 含有容易猜到的词", \
	  "{} に推測されやすい語が含まれています") \
	X(WARN_KINDS, \
	  "{} is made of too few kinds of characters", \
	  "{} 的字符种类过少", \
	  "{} の文字種が少なすぎます") \
	X(WARN_SUGGESTION, \
	  "Use at least 32 random characters: upper and lower case, digits and others", \
	  "请使用至少 32 个随机字符，包含大小写字母、数字和其他字符", \
	  "大文字・小文字・数字・記号を含む 32 文字以上のランダムな文字列を使ってください") \
	X(DATA_NOT_ENCRYPTED, \
	  "ENCRYPTION_KEY is set, but the stored keys are not encrypted", \
	  "已设置 ENCRYPTION_KEY，但已存储的密钥未加密", \
	  "ENCRYPTION_KEY が設定されていますが、保存済みのキーは暗号化されていません") \
	X(KEY_NOT_CONFIGURED, \
	  "The stored keys are encrypted, but ENCRYPTION_KEY is not set", \
	  "已存储的密钥是加密的，但未设置 ENCRYPTION_KEY", \
	  "保存済みのキーは暗号化されていますが、ENCRYPTION_KEY が設定されていません") \
	X(KEY_MISMATCH, \
	  "The stored keys were encrypted with another ENCRYPTION_KEY", \
	  "已存储的密钥是用另一个 ENCRYPTION_KEY 加密的", \
	  "保存済みのキーは別の ENCRYPTION_KEY で暗号化されています") \
	X(ENCRYPTION_FITS, \
	  "The stored keys fit the ENCRYPTION_KEY", \
	  "已存储的密钥与 ENCRYPTION_KEY 相符", \
	  "保存済みのキーは ENCRYPTION_KEY と一致しています") \
	X(ENCRYPTION_SUGGESTION, \
	  "Set the ENCRYPTION_KEY that the keys were stored with, or convert them with: gpt-load migrate-keys", \
	  "请设置存储密钥时所用的 ENCRYPTION_KEY，或用 gpt-load migrate-keys 转换密钥", \
	  "キーの保存時に使った ENCRYPTION_KEY を設定するか、gpt-load migrate-keys で変換してください") \
	X(CATEGORY_BASIC, \
	  "Basic", \
	  "基础", \
	  "基本") \
	X(CATEGORY_REQUEST, \
	  "Requests", \
	  "请求", \
	  "リクエスト") \
	X(CATEGORY_KEY, \
	  "Keys", \
	  "密钥", \
	  "キー") \
	MSG_SETTINGS(X)

/* NAME_x and HELP_x for every SETTING_x of lib/setting.h. */
#define MSG_SETTINGS(X) \
	X(NAME_APP_URL, \
	  "Address of this gateway", \
	  "网关地址", \
	  "このゲートウェイのアドレス") \
	X(HELP_APP_URL, \
	  "The address that clients use; the groups' endpoints are shown with it", \
	  "客户端使用的地址，分组的端点以它显示", \
	  "クライアントが使うアドレス。グループのエンドポイントはこれで表示されます") \
	X(NAME_PROXY_KEYS, \
	  "Client keys for all groups", \
	  "全局代理密钥", \
	  "全グループ共通のクライアントキー") \
	X(HELP_PROXY_KEYS, \
	  "Keys that open every group, separated by commas", \
	  "可访问所有分组的密钥，以逗号分隔", \
	  "すべてのグループを使えるキー。カンマ区切り") \
	X(NAME_RETENTION_DAYS, \
	  "Days that logs are kept", \
	  "日志保留天数", \
	  "ログの保存日数") \
	X(HELP_RETENTION_DAYS, \
	  "Request logs older than this are deleted; 0 keeps them for ever", \
	  "超过此天数的请求日志会被删除；0 表示永久保留", \
	  "これより古いリクエストログは削除されます。0 は無期限") \
	X(NAME_WRITE_INTERVAL, \
	  "Minutes between log writes", \
	  "日志写入间隔（分钟）", \
	  "ログの書き込み間隔（分）") \
	X(HELP_WRITE_INTERVAL, \
	  "How often waiting log rows go to the database at the latest; 0 writes at once", \
	  "等待中的日志最迟多久写入数据库；0 表示立即写入", \
	  "待っているログ行を遅くともこの間隔でデータベースに書き込みます。0 は即時") \
	X(NAME_LOG_BODIES, \
	  "Log request bodies", \
	  "记录请求体", \
	  "リクエスト本文の記録") \
	X(HELP_LOG_BODIES, \
	  "Keep the body and the user agent of each request in its log row", \
	  "在日志中保留每个请求的请求体和 User-Agent", \
	  "各リクエストの本文と User-Agent をログに残します") \
	X(NAME_REQUEST_TIMEOUT, \
	  "Request timeout (s)", \
	  "请求超时（秒）", \
	  "リクエストのタイムアウト（秒）") \
	X(HELP_REQUEST_TIMEOUT, \
	  "Bounds a whole exchange, retries included; for a stream, up to its first byte", \
	  "限制整个请求的时间，包括重试；流式请求则限制到首个字节", \
	  "再試行を含む全体の時間の上限。ストリームでは最初のバイトまで") \
	X(NAME_CONNECT_TIMEOUT, \
	  "Connect timeout (s)", \
	  "连接超时（秒）", \
	  "接続のタイムアウト（秒）") \
	X(HELP_CONNECT_TIMEOUT, \
	  "How long connecting to an upstream may take", \
	  "连接上游所允许的时间", \
	  "上流への接続にかけてよい時間") \
	X(NAME_IDLE_CONN_TIMEOUT, \
	  "Idle connection timeout (s)", \
	  "空闲连接超时（秒）", \
	  "アイドル接続のタイムアウト（秒）") \
	X(HELP_IDLE_CONN_TIMEOUT, \
	  "How long an unused connection to an upstream is kept open", \
	  "未使用的上游连接保持打开的时间", \
	  "使われていない上流接続を開いておく時間") \
	X(NAME_RESPONSE_HEADER_TIMEOUT, \
	  "Response header timeout (s)", \
	  "响应头超时（秒）", \
	  "応答ヘッダーのタイムアウト（秒）") \
	X(HELP_RESPONSE_HEADER_TIMEOUT, \
	  "How long to wait for the headers of an upstream's answer", \
	  "等待上游响应头的时间", \
	  "上流の応答ヘッダーを待つ時間") \
	X(NAME_MAX_IDLE_CONNS, \
	  "Idle connections", \
	  "空闲连接数", \
	  "アイドル接続数") \
	X(HELP_MAX_IDLE_CONNS, \
	  "Unused connections that a worker keeps open, over all upstreams", \
	  "每个工作进程对所有上游保持的未使用连接数", \
	  "ワーカーが全上流に対して開いておく未使用の接続数") \
	X(NAME_MAX_IDLE_CONNS_PER_HOST, \
	  "Idle connections per host", \
	  "每主机空闲连接数", \
	  "ホストごとのアイドル接続数") \
	X(HELP_MAX_IDLE_CONNS_PER_HOST, \
	  "Unused connections that a worker keeps open to one host", \
	  "每个工作进程对同一主机保持的未使用连接数", \
	  "ワーカーが一つのホストに対して開いておく未使用の接続数") \
	X(NAME_PROXY_URL, \
	  "Outgoing proxy", \
	  "出站代理", \
	  "送信用プロキシ") \
	X(HELP_PROXY_URL, \
	  "http, https or socks5 URL through which upstreams are reached; empty: as the environment says", \
	  "访问上游所用的 http、https 或 socks5 地址；为空则按环境变量", \
	  "上流へ接続するための http・https・socks5 の URL。空なら環境変数に従います") \
	X(NAME_MAX_RETRIES, \
	  "Retries", \
	  "重试次数", \
	  "再試行回数") \
	X(HELP_MAX_RETRIES, \
	  "Further tries of a request with other keys; 0: none", \
	  "用其他密钥再次尝试的次数；0 表示不重试", \
	  "別のキーで試す回数。0 は再試行なし") \
	X(NAME_BLACKLIST_THRESHOLD, \
	  "Failures until a key is out", \
	  "密钥失效阈值", \
	  "キーを外すまでの失敗回数") \
	X(HELP_BLACKLIST_THRESHOLD, \
	  "Failures in a row that blame the key, after which it is invalid; 0: never", \
	  "因密钥本身而连续失败多少次后视为无效；0 表示从不", \
	  "キーに原因のある失敗がこの回数続くと無効になります。0 は無効にしない") \
	X(NAME_FAILOVER_STATUS_CODES, \
	  "Statuses that are retried", \
	  "触发重试的状态码", \
	  "再試行する状態コード") \
	X(HELP_FAILOVER_STATUS_CODES, \
	  "Such as 429,500-599; the default leaves the choice to the gateway", \
	  "例如 429,500-599；默认由网关决定", \
	  "例：429,500-599。既定値ではゲートウェイが判断します") \
	X(NAME_VALIDATION_INTERVAL, \
	  "Minutes between key checks", \
	  "密钥检查间隔（分钟）", \
	  "キー確認の間隔（分）") \
	X(HELP_VALIDATION_INTERVAL, \
	  "How often invalid keys are tried again", \
	  "多久重新检查一次无效密钥", \
	  "無効なキーを再び試す間隔") \
	X(NAME_VALIDATION_CONCURRENCY, \
	  "Key checks at once", \
	  "密钥检查并发数", \
	  "キー確認の同時実行数") \
	X(HELP_VALIDATION_CONCURRENCY, \
	  "Keys of a group that are checked at the same time", \
	  "一个分组中同时检查的密钥数", \
	  "一つのグループで同時に確認するキーの数") \
	X(NAME_VALIDATION_TIMEOUT, \
	  "Key check timeout (s)", \
	  "密钥检查超时（秒）", \
	  "キー確認のタイムアウト（秒）") \
	X(HELP_VALIDATION_TIMEOUT, \
	  "How long the check of one key may take", \
	  "检查一个密钥所允许的时间", \
	  "一つのキーの確認にかけてよい時間") \
	X(NAME_STREAM_IDLE_TIMEOUT, \
	  "Stream idle timeout (s)", \
	  "流空闲超时（秒）", \
	  "ストリームの無音タイムアウト（秒）") \
	X(HELP_STREAM_IDLE_TIMEOUT, \
	  "How long a stream may be silent between two bytes", \
	  "流的两个字节之间允许静默的时间", \
	  "ストリームのバイト間に許される無音の時間") \
	X(NAME_STREAM_HEARTBEAT, \
	  "Stream heartbeat (s)", \
	  "流心跳（秒）", \
	  "ストリームのハートビート（秒）") \
	X(HELP_STREAM_HEARTBEAT, \
	  "A comment is sent into an event stream silent for this long; 0: never", \
	  "事件流静默这么久后发送一条注释；0 表示从不", \
	  "イベントストリームがこの時間無音ならコメントを送ります。0 は送らない")
/* clang-format on */

enum msg {
#define X(id, en, zh, ja) MSG_##id,
	MSG_TABLE(X)
#undef X
	MSG__MAX
};

enum language {
	LANGUAGE_ZH, /* unless another is asked for, as GPT-Load 1.4 has it */
	LANGUAGE_EN,
	LANGUAGE_JA,
	LANGUAGE__MAX
};

/* By the first tag of an Accept-Language header. */
enum language language_of(struct str accept);

struct req;

/* In the language of the request. */
const char *msg(const struct req *req, enum msg id);
/* The same with "{}" replaced; in the request's arena. */
struct str msg_about(struct req *req, enum msg id, const char *what);

#endif
